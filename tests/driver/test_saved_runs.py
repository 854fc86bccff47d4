"""Runs as they look from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing

import pytest

from fedactors.driver import saved_runs
from fedactors.driver.run_directory import RunDirectory
from fedactors.driver.saved_runs import JOURNAL_BEGINS, State, at_rest, look
from fedactors.errors import StoreError
from fedactors.journal import FileJournal, Opened
from fedactors.journal.file import MAGIC
from fedactors.record import Event
from tests.observe.story import Story, whole_run

CONFIG = 'name = "digits"\n[stop]\nrounds = 9\n'


def write(path, *events: Event, config: str | None = CONFIG, journal: bool = True):
    """A run's directory after these events."""
    directory = RunDirectory(path)
    for event in events:
        directory.write_event(event)
    directory.close()
    if config is not None:
        (path / "config.toml").write_text(config)
    if journal:
        FileJournal(path / "journal", Opened("digits", 7, {})).close()
    return path


@pytest.mark.parametrize(
    ("events", "journal", "state"),
    [
        (whole_run(), True, State.FINISHED),
        (whole_run(), False, State.FINISHED),
        ([*whole_run()[:-1], Story().finished(failed=True)], True, State.FAILED),
        (whole_run()[:-1], True, State.RESUMABLE),
        ([*whole_run(), Story().event("resumed", lives=2, round=3, version=2)], True, State.RESUMABLE),
        (whole_run()[:-1], False, State.UNFINISHED),
        ([], True, State.RESUMABLE),
    ],
)
def test_a_run_s_state_follows_from_its_journal_and_its_last_event(tmp_path, events, journal, state):
    assert look(write(tmp_path / "run", *events, journal=journal)).state == state


def test_how_far_it_came_and_what_it_reached_is_known(tmp_path):
    run = look(write(tmp_path / "run", *whole_run(rounds=3)))
    assert (run.name, run.rounds, run.rounds_total, run.why) == ("digits", 3, 9, "2 rounds are done")
    assert run.metrics == {"loss": 0.5 / 3, "accuracy": 1 - 0.5 / 3}
    assert run.started_at == "1970-01-01T00:16:40.100000+00:00"
    assert run.nbytes == sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())


def test_the_metrics_are_those_of_the_last_round_that_was_evaluated(tmp_path):
    story = Story()
    events = [story.ended(1, ["a"], loss=0.5), story.ended(2, ["a"]), story.committed(3)]
    run = look(write(tmp_path / "run", *events))
    assert (run.rounds, run.metrics) == (3, {"loss": 0.5})


def test_a_run_whose_last_line_was_cut_is_read_as_far_as_it_is_whole(tmp_path):
    path = write(tmp_path / "run", *whole_run(rounds=2))
    whole = (path / "events.jsonl").read_bytes()
    for cut in (1, 20):
        (path / "events.jsonl").write_bytes(whole[:-cut])
        run = look(path)
        assert (run.state, run.rounds) == (State.RESUMABLE, 2)


@pytest.mark.parametrize("block_bytes", [1, 7, 100, 4096])
def test_lines_are_read_backwards_whatever_their_length(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(saved_runs, "BLOCK_BYTES", block_bytes)
    lines = [b"", b"a", b"b" * 99, b"", b"c" * 101]
    file = tmp_path / "lines"
    for unfinished in (b"", b"x", b"x" * 300):
        file.write_bytes(b"\n".join([*lines, unfinished]))
        assert list(saved_runs._lines_backwards(file)) == lines[::-1]
    file.write_bytes(b"no end")
    assert list(saved_runs._lines_backwards(file)) == []


def test_of_very_many_events_the_newest_are_looked_through(tmp_path, monkeypatch):
    path = write(tmp_path / "run", Story().ended(1, ["a"], loss=0.5), *(Story().departed("a", "left") for _ in range(100)))
    monkeypatch.setattr(saved_runs, "TAIL_BYTES_MAX", 1_000)
    assert look(path).metrics == {}


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("config.toml", None, "it has no config.toml"),
        ("config.toml", "name = ", "its config.toml cannot be read: "),
        ("config.toml", b"\xff", "its config.toml cannot be read: "),
        ("events.jsonl", "no json\n", "its events.jsonl cannot be read: JSONDecodeError"),
        ("events.jsonl", '{"number": 0}\n', "its events.jsonl cannot be read: KeyError: 'time'"),
        ("events.jsonl", '{"time": "x", "kind": "round_ended"}\n', "its events.jsonl cannot be read: KeyError: 'record'"),
        ("journal", "", "its journal is empty: it ended before it had begun; start it anew"),
        ("journal", "something", "its journal is no journal of fedactors"),
    ],
)
def test_a_broken_run_says_what_is_wrong_with_it(tmp_path, file, text, why):
    path = write(tmp_path / "run", *whole_run())
    (path / file).unlink()
    if text is not None:
        (path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    run = look(path)
    assert (run.state, run.rounds) == (State.DAMAGED, 0)
    assert run.why.startswith(why)


def test_a_run_that_a_process_keeps_is_running_and_its_files_are_not_looked_into(tmp_path):
    path = write(tmp_path / "run", *whole_run(), journal=False)
    with closing(FileJournal(path / "journal", Opened("digits", 7, {}))):
        assert look(path).state == State.RUNNING
        with (
            pytest.raises(StoreError, match=r"run .*run is going on; ask its controller with --address; its log says where"),
            at_rest(path),
        ):
            pass
    with at_rest(path):
        with pytest.raises(StoreError, match="in use by another process"):
            FileJournal(path / "journal", Opened("digits", 7, {}), resume=True)
        assert look(path).state == State.FINISHED
    with closing(FileJournal(path / "journal", Opened("digits", 7, {}), resume=True)):
        assert look(path).state == State.RUNNING


def test_a_folder_s_runs_stand_in_the_order_in_which_they_were_started(tmp_path):
    later, earlier = Story(step_s=9).event("waiting", why="x"), Story().event("waiting", why="x")
    write(tmp_path / "a", later)
    write(tmp_path / "b", earlier)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").write_text("")
    write(tmp_path / "c", config=None)
    assert [run.path.name for run in saved_runs.saved_runs(tmp_path)] == ["c", "b", "a"]
    assert [run.path for run in saved_runs.saved_runs(tmp_path / "a")] == [tmp_path / "a"]


def test_a_journal_begins_as_one():
    assert MAGIC.startswith(JOURNAL_BEGINS)


def test_nothing_heavy_is_needed_to_look_at_runs():
    heavy = ["numpy", "grpc", "google.protobuf", "pydantic", "rich", "structlog", "msgpack", "safetensors", "asyncio"]
    code = f"""if True:
        import json, sys
        from fedactors.cli import main
        main(["runs", "ls", "."], standalone_mode=False)
        print(json.dumps([name for name in {heavy} if name in sys.modules]))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
