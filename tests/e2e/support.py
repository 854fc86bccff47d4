"""Real processes for the end-to-end tests: the command line as users call it, in a directory of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import psutil

from tests.cli.steady import said

DEEP = "DEEP" in os.environ
"""Whether what in every run has one process for speed has as many as a real federation: `nox -s deep`."""

WAIT_S = 90.0
"""For what takes a second or two alone: a busy machine starts processes ten times as slowly."""

STEADY = """
    import time
    import numpy as np

    class Steady:
        '''Adds a little to every weight; options: sleep_s, evaluate_sleep_s, size of the model, and one kind of misbehaviour.'''

        num_train_examples = 10

        def __init__(self, context):
            self.context, self.options = context, context.options
            if self.options.get("raise_when") == "made":
                raise ValueError("no data here")
            self.rounds = 0

        def get_weights(self):
            size = self.options.get("size", 8)
            return {"w": np.zeros((size, size), np.float32), "b": np.zeros(size, np.float32)}

        def set_weights(self, weights):
            pass

        def misbehaves(self, how):
            return self.options.get("raise_when") == how and self.context.index in self.options.get("who", [0, 1, 2])

        def train(self, weights, params):
            time.sleep(self.options.get("sleep_s", 0.0))
            self.rounds += 1
            if self.misbehaves("train"):
                raise ValueError("the disk with the data is gone")
            new = {name: value + np.float32(0.5 * (1 + self.context.index)) for name, value in weights.items()}
            if self.misbehaves("shape"):
                new["w"] = np.zeros((3, 3), np.float32)
            if self.misbehaves("nan"):
                new["b"] = np.full_like(new["b"], np.nan)
            return new, {"num_examples": 10 * (1 + self.context.index), "loss": 1.0 / self.rounds}

        def evaluate(self, weights, params):
            time.sleep(self.options.get("evaluate_sleep_s", 0.0))
            return {"num_examples": 5, "mean": float(weights["w"].mean())}
"""

CONFIG = """
    name = "steady"
    seed = 1

    [learners]
    entry = "learner.py:Steady"
    count = 3

    [stop]
    rounds = 3
"""


def project(directory: Path, config: str = CONFIG, learner: str = STEADY) -> Path:
    """Write a federation into a directory; its configuration's path."""
    (directory / "learner.py").write_text(dedent(learner))
    path = directory / "federation.toml"
    path.write_text(dedent(config))
    return path


def environment() -> dict[str, str]:
    """Ours, without what would make the command line's output differ."""
    return {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONWARNINGS": "error::ResourceWarning"}


def fedactors(*arguments: object, cwd: Path, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    command = [sys.executable, "-m", "fedactors", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, env=environment(), check=False)


def up(path: Path, *, processes: bool) -> None:
    """Run the federation of a configuration to its end, in `run` beside it.

    With processes its learners are some, as are the others of the run; without, all is in this one unless `DEEP`.
    """
    if processes or DEEP:
        done = fedactors("up", path, "--run-dir", "run", cwd=path.parent)
        assert done.returncode == 0, done.stderr
    else:
        said("up", path, "--in-process", "--run-dir", path.parent / "run")


@contextmanager
def started(*arguments: object, cwd: Path, name: str = "fedactors") -> Iterator[subprocess.Popen[str]]:
    """A running command line; what it prints goes to NAME.out. It does not outlive the block."""
    command = [sys.executable, "-m", "fedactors", *map(str, arguments)]
    with (cwd / f"{name}.out").open("w") as output:
        process = subprocess.Popen(command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT, text=True, env=environment())
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def free_port() -> int:
    """A port at loopback that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def results(run: Path) -> dict:
    """A run's results."""
    return json.loads((run / "results.json").read_text())


def events(run: Path) -> list[dict]:
    """A run's events so far."""
    path = run / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def wait_for(condition, timeout_s: float = WAIT_S, what: str = "it"):
    """What `condition` returns once it is true."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.02)
    return value


def wait_for_event(run: Path, kind: str, timeout_s: float = WAIT_S, **keys: object) -> dict:
    """The first event of this kind whose body has these keys."""

    def found():
        return next((e for e in events(run) if e["kind"] == kind and all(e.get(k) == v for k, v in keys.items())), None)

    return wait_for(found, timeout_s, f"event {kind} {keys or ''}")


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that it started."""
    return psutil.Process(process.pid).children(recursive=True)


def assert_all_end(processes: list[psutil.Process], timeout_s: float = 10.0) -> None:
    """Nothing of these is left."""
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    assert not alive, f"left running: {[p.cmdline() for p in alive]}"


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C."""
    process.send_signal(signal.SIGINT)
