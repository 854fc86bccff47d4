"""The audit log: lines of JSON, and a flood of refusals that fills no disk."""

import json

from fedactors.access.audit import REFUSALS_AT_ONCE, Audit
from fedactors.access.callers import Caller, Role

OTTO = Caller(Role.OPERATOR, "otto", "token")


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_who_did_what_from_where_and_when(tmp_path):
    audit = Audit(tmp_path / "audit.jsonl", wall=lambda: 0.0)
    audit.did("ordered", OTTO, "ipv4:10.0.0.7:1", verb="stop", why="enough")
    assert lines(tmp_path / "audit.jsonl") == [
        {
            "time": "1970-01-01T00:00:00.000+00:00",
            "did": "ordered",
            "who": "operator 'otto'",
            "by": "token",
            "peer": "ipv4:10.0.0.7:1",
            "verb": "stop",
            "why": "enough",
        }
    ]
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600
    audit.close()


def test_a_flood_of_refusals_is_written_at_a_bounded_rate_and_counted(tmp_path):
    clock = Clock()
    audit = Audit(tmp_path / "audit.jsonl", clock=clock)
    for number in range(10_000):
        clock.now_s = number / 1000
        audit.refused("no token was shown", "x" * 10_000)
    clock.now_s = 60.0
    audit.refused("no token was shown", "x")
    audit.close()
    written = lines(tmp_path / "audit.jsonl")
    assert len(written) <= REFUSALS_AT_ONCE + 3
    assert len(written) + sum(line.get("unwritten", 0) for line in written) == 10_001
    assert (tmp_path / "audit.jsonl").stat().st_size < 10_000


def test_what_a_peer_has_chosen_stays_in_its_line(tmp_path):
    audit = Audit(tmp_path / "audit.jsonl")
    audit.refused('no\n{"did": "ordered"}', "\x1b[31m")
    audit.close()
    audit.close()
    assert [line["did"] for line in lines(tmp_path / "audit.jsonl")] == ["refused"]


def test_a_second_life_goes_on_writing_behind_the_first(tmp_path):
    for _ in range(2):
        audit = Audit(tmp_path / "audit.jsonl")
        audit.did("joined", OTTO, "here")
        audit.close()
    assert len(lines(tmp_path / "audit.jsonl")) == 2
