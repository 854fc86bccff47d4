"""The verbs that watch and operate a federation that is at work: status, top, pause, resume, logs, stop."""

from __future__ import annotations

import json

import pytest

from tests.cli.steady import refused, said, up
from tests.e2e.support import events, project, started, wait_for, wait_for_event

CONFIG = """
    name = "steady"
    seed = 1

    [learners]
    entry = "learner.py:Steady"
    count = 1
    options = { sleep_s = 0.05 }

    [stop]
    rounds = 10_000
"""


def committed(run) -> int:
    return sum(event["kind"] == "round_committed" for event in events(run))


@pytest.mark.e2e
def test_a_run_is_watched_held_and_stopped_from_another_terminal(tmp_path):
    run = tmp_path / "run"
    with started("up", project(tmp_path, CONFIG), "--run-dir", "run", cwd=tmp_path) as process:
        wait_for_event(run, "round_committed")

        told = json.loads(said("status", run, "--json"))
        assert (told["name"], told["phase"], told["rounds_total"]) == ("steady", "training", 10_000)
        (address,) = [address for address in told["addresses"] if address.startswith("grpc:")]
        assert "1 here, at least 1 to begin with" in said("status", "--address", address)

        picture = said("top", run)
        assert "/10000 rounds" in picture
        assert "learner-0" in picture

        assert said("pause", run) == "steady begins no further round until `fedactors resume`\n"
        assert said("status", run).startswith("steady    paused, training")
        wait_for(lambda: events(run)[-1]["kind"] == "round_ended", what="the end of the open round")
        held = committed(run)
        assert said("resume", "--address", address) == "steady goes on\n"
        wait_for(lambda: committed(run) > held, what="another round")

        assert "verb=pause  why=paused by the operator" in said("logs", run, "-n", "1000")
        assert "joined" in said("logs", run, "--learner", "learner-0")

        assert said("stop", run, "--why", "enough") == "steady ends its open round, evaluates, and saves\n"
        assert process.wait(timeout=20) == 0
    assert said("status", run).splitlines()[0] == "steady   finished: enough"
    assert "it is finished, and nobody leads it" in refused(1, "stop", run)


def test_of_a_run_that_is_over_its_directory_tells(place):
    run = up(place, "over")
    assert said("status", run).splitlines() == [
        "steady   finished: round 2 is committed, the last of 2",
        "rounds   2 of 2",
        "metrics  mean 3",
    ]
    assert json.loads(said("status", run, "--json"))["rounds"] == 2
    for verb in ("stop", "pause", "resume", "top"):
        assert "it is finished, and nobody leads it" in refused(1, verb, run)


def test_run_and_address_are_one_too_many_and_none_is_too_few(place):
    for verb in ("status", "stop", "pause", "resume", "top"):
        assert "one of the two" in refused(2, verb)
        assert "one of the two" in refused(2, verb, place, "--address", "grpc://127.0.0.1:1")
    assert "there is no run in" in refused(2, "status", place / "nowhere")
