"""`fedactors logs`, on logs that were written by hand."""

from __future__ import annotations

import json

import pytest

from fedactors.driver.saved_logs import LogFile
from tests.cli.steady import refused, said


def line(level: str, event: str, **more: object) -> str:
    return json.dumps({"timestamp": "2026-01-01T00:00:00.000001Z", "level": level, "event": event, **more})


@pytest.fixture
def run(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    told = [
        line("debug", "turn"),
        line("info", "listening", addresses=["x"]),
        line("error", "broken", exception="Traceback\n  y"),
    ]
    (logs / "controller.jsonl").write_text("\n".join([*told, "not JSON"]) + "\n" + '{"cut')
    (logs / "learner-0.log").write_text("hello\nworld\n")
    return tmp_path


def test_the_controller_s_log_is_readable_with_its_keys_and_tracebacks(run):
    shown = [text[9:] if text[:2].isdigit() else text for text in said("logs", run).splitlines()]
    assert shown == ["debug   turn", "info    listening  addresses=['x']", "error   broken", "Traceback", "  y", "not JSON"]


def test_a_level_leaves_out_what_is_below_it(run):
    assert "listening" not in said("logs", run, "--level", "warning")
    assert "broken" in said("logs", run, "--level", "warning")


def test_the_last_lines_are_shown_of_the_learner_that_is_named(run):
    assert said("logs", run, "--learner", "learner-0", "-n", "1") == "world\n"
    assert said("logs", run, "--learner", "learner-0", "-n", "0") == ""


def test_a_run_that_is_over_is_followed_to_its_end(run):
    assert said("logs", run, "--learner", "learner-0", "--follow") == "hello\nworld\n"


@pytest.mark.parametrize("name", ["learner-1", "../learner-0", "controller"])
def test_a_log_that_is_not_there_is_one_line_with_those_that_are(run, name):
    assert "(known: learner-0)" in refused(2, "logs", run, "--learner", name)


def test_a_directory_without_logs_is_no_run(tmp_path):
    assert "has no log of a controller" in refused(2, "logs", tmp_path)


def test_a_log_is_read_on_where_it_was_and_anew_when_it_was_rotated(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("a\nb\nhalf")
    file = LogFile(path)
    assert list(file.lines()) == ["a", "b"]
    with path.open("a") as more:
        more.write(" a line\n")
    assert list(file.lines()) == ["half a line"]
    path.rename(tmp_path / "x.jsonl.1")
    assert list(file.lines()) == []
    path.write_text("new\n")
    assert list(file.lines()) == ["new"]
