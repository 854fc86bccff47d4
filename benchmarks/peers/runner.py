"""What all runners share: their arguments, the line they print, and the processes they start.

    PYTHON_OF_A_PEER flower_grpc.py --learners 10 --parameters 100K --rounds 10

prints one JSON line, a `Point`; everything that the peer says goes to standard error. A run that ends without its figures exits
with another status than 0 and prints nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from marks import figures, read_marks, started_s
from workload import WIDTHS

STOP_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the grid: the line that a runner prints.

    Attributes:
        round_s: median over the steady rounds (all but the first), from one round's end to the next one's.
        first_round_s: from the start of the runner's process, imports and all, to the end of the first round.
        mbytes_per_learner: 10^6 bytes over loopback for each learner and steady round; None where it is not known.
    """

    system: str
    version: str
    learners: int
    parameters: str
    rounds: int
    round_s: float
    first_round_s: float
    controller_peak_rss_mb: float
    controller_cpu_s_per_round: float
    mbytes_per_learner: float | None


@dataclass(frozen=True, slots=True)
class Request:
    """What a runner is asked for; `folder` is its own and temporary."""

    learners: int
    parameters: str
    rounds: int
    folder: Path

    @property
    def marks(self) -> Path:
        """Where the controller's process notes the ends of rounds."""
        return self.folder / "marks.jsonl"


def request_from_arguments(folder: Path) -> Request:
    """The command line of every runner."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--learners", type=int, required=True)
    parser.add_argument("--parameters", choices=WIDTHS, required=True)
    parser.add_argument("--rounds", type=int, default=10, help="the first one is not counted")
    return Request(**vars(parser.parse_args()), folder=folder)


@contextmanager
def standard_output_to_error() -> Iterator[None]:
    """What this process and its children print meanwhile goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def main(system: str, package: str, run: Callable[[Request], None]) -> None:
    """Run one point and print its line; `run` returns when all rounds have ended."""
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        request = request_from_arguments(Path(folder))
        with standard_output_to_error():
            run(request)
        measured = figures(read_marks(request.marks), request.learners, started_s())
    point = Point(system, f"{package} {version(package)}", request.learners, request.parameters, **measured)
    print(json.dumps(asdict(point)), flush=True)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def processes(commands: Sequence[Sequence[str]]) -> Iterator[list[subprocess.Popen]]:
    """Run commands meanwhile; those that have not ended by themselves shortly after are stopped."""
    started = [subprocess.Popen(list(map(str, command))) for command in commands]
    try:
        yield started
    finally:
        for process in started:
            stop(process)


def stop(process: subprocess.Popen) -> None:
    """End a process, gently at first."""
    for order in (process.terminate, process.kill):
        order()
        try:
            process.wait(STOP_WAIT_S)
            return
        except subprocess.TimeoutExpired:
            continue
