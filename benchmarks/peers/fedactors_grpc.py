"""Ourselves, by benchmarks/round.py: the controller is this process, the learners are in two others, over gRPC and TCP."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

import round as stress
from marks import started_s
from runner import Point, request_from_arguments

from fedactors.runtime.garbage import collect_seldom
from fedactors.runtime.switching import take_short_turns
from fedactors.transport.malloc import keep_freed_memory


def measure(scheme: str = "grpc") -> Point:
    """One point over this transport; round.py's clock starts when the imports are done, this one with the process."""
    keep_freed_memory()
    collect_seldom()
    take_short_turns()
    uvloop.install()
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        request = request_from_arguments(Path(folder))
    imports_s = time.monotonic() - started_s()
    figures = asyncio.run(stress.measure(request.learners, request.parameters, request.rounds, scheme=scheme))
    return Point(
        system="fedactors",
        version=f"fedactors {version('fedactors')}",
        learners=request.learners,
        parameters=request.parameters,
        rounds=request.rounds,
        round_s=figures.round_s,
        first_round_s=imports_s + figures.first_round_s,
        controller_peak_rss_mb=figures.peak_rss_mb,
        controller_cpu_s_per_round=figures.cpu_s_per_round,
        mbytes_per_learner=figures.mbytes_per_learner,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(measure())), flush=True)
