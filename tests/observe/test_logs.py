from __future__ import annotations

import asyncio
import json
import logging as standard
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from fedactors.log import get_logger
from fedactors.observe import logging
from fedactors.observe.logging import Logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    while logging._in_force:
        logging._in_force.pop().close()
    structlog.contextvars.clear_contextvars()


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_an_event_is_one_line_of_key_value_pairs_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with logging.configure():
        get_logger("fedactors.gateway").info("learner_joined", learner="a", examples=3)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    for part in ("[info", "learner_joined", "[fedactors.gateway]", "learner=a", "examples=3"):
        assert part in captured.err


def test_an_event_is_a_json_line_in_the_file_with_the_ids_that_are_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "logs" / "run.jsonl"
    with logging.configure(console=None, file=file, ids={"federation": "digits"}):
        with structlog.contextvars.bound_contextvars(round=3):
            get_logger("fedactors.scheduler").info("round_began", cohort=["a"])
        standard.getLogger("a.learners.own").info("read %d files", 3)
    first, second = lines(file)
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "round_began",
        "level": "info",
        "logger": "fedactors.scheduler",
        "federation": "digits",
        "round": 3,
        "cohort": ["a"],
    }
    assert (second["event"], second["logger"], second["federation"]) == ("read 3 files", "a.learners.own", "digits")
    assert capsys.readouterr().err == ""


async def test_ids_are_bound_in_tasks_begun_later(tmp_path: Path) -> None:
    async def say() -> None:
        get_logger("fedactors.learner").info("said")

    with logging.configure(console=None, file=tmp_path / "log", ids={"learner": "a"}):
        await asyncio.create_task(say())
    assert lines(tmp_path / "log")[0]["learner"] == "a"


def test_each_place_has_its_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with logging.configure("debug", console="error", file=tmp_path / "log"):
        log = get_logger("fedactors.x")
        log.debug("small")
        log.error("big")
    assert [line["event"] for line in lines(tmp_path / "log")] == ["small", "big"]
    err = capsys.readouterr().err
    assert "big" in err
    assert "small" not in err


def test_talkative_libraries_are_heard_only_when_they_warn(tmp_path: Path) -> None:
    with logging.configure("debug", console=None, file=tmp_path / "log"):
        standard.getLogger("asyncio").debug("Using selector: EpollSelector")
        standard.getLogger("grpc").warning("fork support")
    assert [line["event"] for line in lines(tmp_path / "log")] == ["fork support"]


def test_a_traceback_is_in_the_file_and_on_stderr_only_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for tracebacks in (False, True):
        with logging.configure(file=tmp_path / "log", tracebacks=tracebacks):
            try:
                raise ValueError("no data")
            except ValueError:
                get_logger("fedactors.x").exception("failed")
                standard.getLogger("mine").exception("failed too")
        err = capsys.readouterr().err
        assert ("Traceback" in err) == tracebacks
        assert tracebacks or err.count("error='ValueError: no data'") == 2
    assert all("Traceback" in line["exception"] for line in lines(tmp_path / "log"))


def test_configuring_again_replaces_what_was_before(tmp_path: Path) -> None:
    handlers = len(standard.getLogger().handlers)
    log = get_logger("fedactors.x")
    for name in ("one", "two"):
        logging.configure(console=None, file=tmp_path / name)
        log.info("said", to=name)
    assert len(standard.getLogger().handlers) == handlers + 1
    assert [line["to"] for name in ("one", "two") for line in lines(tmp_path / name)] == ["one", "two"]


def test_closing_puts_everything_back(tmp_path: Path) -> None:
    root = standard.getLogger()
    before = (root.level, list(root.handlers), standard.getLogger("asyncio").level)
    logs: Logs = logging.configure(console="debug", file=tmp_path / "log")
    logs.close()
    logs.close()
    assert (root.level, root.handlers, standard.getLogger("asyncio").level) == before


def test_stderr_is_looked_up_when_a_line_is_written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import io
    import sys

    with logging.configure():
        elsewhere = io.StringIO()
        monkeypatch.setattr(sys, "stderr", elsewhere)
        get_logger("fedactors.x").info("said")
    assert "said" in elsewhere.getvalue()


def test_nothing_is_shown_before_logging_is_configured(capsys: pytest.CaptureFixture[str]) -> None:
    get_logger("fedactors.x").info("said")
    assert capsys.readouterr() == ("", "")


def test_a_file_of_its_own_takes_what_is_logged_in_a_context_and_nothing_else(tmp_path):
    log = get_logger("fedactors.test")
    with logging.configure("info", console="error"), logging.file_of(tmp_path / "a.jsonl", "info", federation="a"):
        for federation in ("a", "b"):
            with structlog.contextvars.bound_contextvars(federation=federation, learner="anna"):
                log.info("joined")
                log.debug("not of interest")
        log.info("of nobody")
    (line,) = (tmp_path / "a.jsonl").read_text().splitlines()
    assert {"event": "joined", "federation": "a", "learner": "anna"}.items() <= json.loads(line).items()
