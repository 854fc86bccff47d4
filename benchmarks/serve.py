"""Do federations that share a process make progress alike, and does one with a huge model starve the others?

Federations of idle learners (they give back what they got, plus a little), over gRPC and TCP, each at an address of its own, in
one process; the learners are in two others. All models have the same size but that of the last federation, which is --times as
large. Once each has committed a round, commits are counted for --seconds. The baseline is in the same run: `equal` is the least
number of rounds among the federations of one size by the greatest, 1 where all progress alike, and `longest wait` is the longest
time between two commits, by which the worst moment of each is told. With `--without-sharing`, each federation has threads and
memory of its own instead, as if it had the process for itself.

    python benchmarks/serve.py --smoke               a few seconds
    python benchmarks/serve.py                       10 federations x 3 learners, 300K parameters, one of 30M
    python benchmarks/serve.py --without-sharing --json results.json     the same without
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import uvloop

from fedactors import Federation, Learner, Sharing
from fedactors.learner import LearnerClient
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.malloc import keep_freed_memory

WORKERS = 2
ROUNDS_MAX = 1_000_000


class Idle(Learner):
    """Gives back what it gets, plus a little."""

    num_train_examples = 100

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters

    def get_weights(self):
        return {"w": np.zeros(self.parameters, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {name: tensor + np.float32(1e-3) for name, tensor in weights.items()}, {"num_batches": 1}

    def evaluate(self, weights, params):
        return {"num_examples": 100}


async def serve_learners(places: list[str]) -> None:
    """Learners in this process, each of ADDRESS PARAMETERS ID."""
    clients = []
    for place in places:
        address, parameters, name = place.split()
        channel = GrpcTransport().connect(Address.parse(address))
        clients.append(LearnerClient(Idle(int(parameters)), name, channel).run())
    await asyncio.gather(*clients, return_exceptions=True)


async def start_workers(federations: list[Federation], sizes: list[int], learners: int) -> list[asyncio.subprocess.Process]:
    """The learners of all federations, spread over WORKERS processes."""
    places = [
        f"{federation.addresses[0]} {size} learner-{n}"
        for federation, size in zip(federations, sizes, strict=True)
        for n in range(learners)
    ]
    shares = [places[worker::WORKERS] for worker in range(WORKERS)]
    return [await asyncio.create_subprocess_exec(sys.executable, __file__, "--serve", *share) for share in shares]


@dataclass(frozen=True, slots=True)
class Progress:
    """What one federation did while commits were counted."""

    parameters: int
    rounds: int
    longest_wait_s: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. `equal`: least by greatest number of rounds among federations of one size."""

    sharing: bool
    seconds: float
    progress: list[Progress]
    equal: float
    cpu_s: float
    peak_rss_mb: float


async def commits_of(federation: Federation, times_s: list[float]) -> None:
    """Note the time of every commit."""
    await federation.admin.order("start")
    async for event in federation.events():
        times_s += [time.perf_counter()] if event.kind == "round_committed" else []


async def counted(commits: list[list[float]], seconds: float) -> tuple[float, float]:
    """Let so many seconds pass, from when every federation has committed; when they began and ended."""
    while not all(commits):  # noqa: ASYNC110  # a benchmark's own
        await asyncio.sleep(0.01)
    began_s = time.perf_counter()
    await asyncio.sleep(seconds)
    return began_s, time.perf_counter()


def progress_of(size: int, times_s: list[float], began_s: float, ended_s: float) -> Progress:
    """What there is to say of one federation's commits."""
    within = [one for one in times_s if began_s <= one <= ended_s]
    edges = [began_s, *within, ended_s]
    return Progress(size, len(within), max(after - before for before, after in pairwise(edges)))


async def measure(sizes: list[int], learners: int, seconds: float, memory_bytes: int, *, sharing: bool) -> Figures:
    """One run."""
    async with AsyncExitStack() as exits:
        shared = exits.enter_context(Sharing(memory_bytes=memory_bytes)) if sharing else None
        federations = []
        for number in range(len(sizes)):
            config = {
                "name": f"federation-{number}",
                "learners": {"count": learners},
                "stop": {"rounds": ROUNDS_MAX},
                "evaluate": {"every": 0},
            }
            federation = Federation(config, addresses=["grpc://127.0.0.1:0"], sharing=shared)
            federations.append(await exits.enter_async_context(federation))
        workers = await start_workers(federations, sizes, learners)
        commits: list[list[float]] = [[] for _ in federations]
        notes = [asyncio.create_task(commits_of(*pair)) for pair in zip(federations, commits, strict=True)]
        cpu_s = time.process_time()
        began_s, ended_s = await counted(commits, seconds)
        cpu_s = time.process_time() - cpu_s
        for note in notes:
            note.cancel()
        await asyncio.gather(*notes, return_exceptions=True)
        for worker in workers:
            worker.kill()
            await worker.wait()
    progress = [progress_of(size, times_s, began_s, ended_s) for size, times_s in zip(sizes, commits, strict=True)]
    rounds = [one.rounds for one in progress if one.parameters == sizes[0]]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Figures(sharing, ended_s - began_s, progress, min(rounds) / max(max(rounds), 1), cpu_s, peak_mb)


def show(figures: Figures) -> None:
    """A table, and what it comes to."""
    print(f"\n{'shared threads and memory' if figures.sharing else 'threads and memory of its own for each'}")
    print("federation   parameters   rounds   rounds/s   longest wait s")
    for number, one in enumerate(figures.progress):
        pace = one.rounds / figures.seconds
        print(f"{number:>10}   {one.parameters:>10,}   {one.rounds:>6}   {pace:>8.2f}   {one.longest_wait_s:>14.2f}")
    equals = [one for one in figures.progress if one.parameters == figures.progress[0].parameters]
    median_s = statistics.median(one.longest_wait_s for one in equals)
    print(f"equal: {figures.equal:.2f}; longest wait of the small ones {max(one.longest_wait_s for one in equals):.2f} s", end="")
    print(f" (median {median_s:.2f} s); cpu {figures.cpu_s:.1f} s, peak {figures.peak_rss_mb:.0f} MB", flush=True)


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--smoke", action="store_true", help="three federations, a few seconds")
    parser.add_argument("--federations", type=int, default=10)
    parser.add_argument("--learners", type=int, default=3, help="of each")
    parser.add_argument("--parameters", type=int, default=300_000)
    parser.add_argument("--times", type=int, default=100, help="how much larger the last federation's model is")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--memory-bytes", type=int, default=2**30)
    parser.add_argument("--without-sharing", action="store_true", help="threads and memory of its own for each")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--serve", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    keep_freed_memory()
    uvloop.install()
    if arguments.serve:
        asyncio.run(serve_learners(arguments.serve))
        return
    federations, learners, seconds, times = arguments.federations, arguments.learners, arguments.seconds, arguments.times
    if arguments.smoke:
        federations, learners, seconds, times = 3, 2, 1.5, 10
    sizes = [arguments.parameters] * (federations - 1) + [arguments.parameters * times]
    print(f"{os.cpu_count()} cores, {sys.platform}, Python {sys.version.split()[0]}, {seconds:g} s, {learners} learners each")
    sharing = not arguments.without_sharing
    figures = asyncio.run(measure(sizes, learners, seconds, arguments.memory_bytes, sharing=sharing))
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(figures), indent=2) + "\n")


if __name__ == "__main__":
    main()
