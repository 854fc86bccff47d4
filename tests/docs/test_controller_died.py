"""docs/controller-died.md is played from its first line to its last."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedactors import config as configuration
from fedactors.driver.saved_runs import State, look
from tests.cli.steady import said
from tests.docs.test_code_blocks import ROOT, blocks, words
from tests.e2e.support import environment, events

PAGE = ROOT / "docs" / "controller-died.md"
UP, GO_ON, VERSIONS, SERVE, EXTEND = [text for language, text in blocks(PAGE) if language == "bash"]
FEDERATION, DURABLE, INITIAL = [text for language, text in blocks(PAGE) if language == "toml"]


@contextmanager
def started(*command: str, cwd: Path):
    """A process that does not outlive the block."""
    process = subprocess.Popen(command, cwd=cwd, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(condition, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def here(line: str) -> list[str]:
    """A command's words as they are run here: learners in the same process, which takes less time."""
    return [*words(line), *(["--in-process", "--quiet"] if " up " in line else [])]


@pytest.fixture
def place(tmp_path):
    readme = next(text for language, text in blocks(ROOT / "README.md") if language == "python")
    (tmp_path / "line.py").write_text(readme)
    (tmp_path / "federation.toml").write_text(FEDERATION)
    return tmp_path


def test_a_run_that_was_killed_goes_on_and_its_versions_are_there(place, monkeypatch):
    """What is killed is a process; the commands after it run in this one, which takes less time."""
    monkeypatch.chdir(place)
    run = place / "runs" / "line"
    with started(sys.executable, "-m", "fedactors", *here(UP.strip()), cwd=place) as process:
        until(lambda: run.exists() and any(event["kind"] == "round_committed" for event in events(run)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert look(run).state is State.RESUMABLE
    told = [said(*here(line)) for line in (GO_ON + VERSIONS).splitlines()]
    assert re.search(r"^line .* \d+/60  resumable ", told[0], re.MULTILINE)
    assert "finished: round 60 is committed, the last of 60" in told[1]
    assert "all together" in told[3]
    assert "round 70 is committed, the last of 70" in said(*here(EXTEND.strip()))
    assert (look(run).state, look(run).rounds) == (State.FINISHED, 70)
    new = tomllib.loads(FEDERATION) | tomllib.loads(INITIAL) | {"base_dir": str(place)}
    assert configuration.from_mapping(new).initial_file == place / "version-20.safetensors"
    assert (place / "version-20.safetensors").is_file()


def test_the_service_begins_a_run_and_goes_on_with_it(place):
    run = place / "run"
    controller = f"{sys.executable} -m fedactors controller --address grpc://{place}/s.sock"
    script = SERVE.replace("/var/lib/federation/run", str(run)).replace("fedactors controller", controller)
    for life in (1, 2):
        with started("/bin/sh", "-c", script, cwd=place) as process:
            until(lambda: run.exists() and look(run).state is State.RUNNING)
            until(lambda life=life: life == 1 or any(event["kind"] == "resumed" for event in events(run)))
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert look(run).state is State.RESUMABLE


def test_the_unit_kills_and_restarts():
    (unit,) = [text for language, text in blocks(PAGE) if language == "text"]
    assert {"Restart=on-failure", "KillSignal=SIGKILL", "ExecStart=/bin/sh serve.sh"} <= set(unit.splitlines())


def test_durable_settings_reach_the_journal_and_the_store():
    config = configuration.from_mapping(tomllib.loads(DURABLE))
    assert config.journal.durability == "power"
    assert configuration.build_storage(config).durability == "power"
