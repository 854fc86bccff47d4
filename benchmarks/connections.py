"""What does a controller pay for learners that are merely there, and how fast does it let them in?

Many real learners (`LearnerClient`, its code run inline) in a few processes join one controller in a process of its own, over
gRPC unless `--over` says otherwise, are there for a while, and a thousand of them train for one round with a model of 100K
parameters. By default each has a connection of its own, as it would between machines.

    python benchmarks/connections.py --smoke          100 learners, a few seconds
    python benchmarks/connections.py                  100, 1,000 and 10,000
    python benchmarks/connections.py --learners 10000 --connections shared --json results.json

What the columns mean, all of them of the controller's process:

    joins/s      with AT_ONCE of them on their way at a time; `--at-once 10000` lets them come all together
    cpu ms       processor time for each of them; unlike joins/s, it hardly depends on who else uses the machine
    KB           resident memory for each learner, after a garbage collection; and what malloc_trim leaves of it
    idle cpu     share of one processor while nothing but heartbeats moves
    lag          how late the event loop wakes a task up: while they join, while they are idle, during the round
    round s      from the order to begin to the commit: initial weights, tasks, downloads, uploads, combination
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import ctypes
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import uvloop
from loop_lag import Lag, LagMeter

from fedactors import Federation, Learner, plugins
from fedactors.learner import LearnerClient
from fedactors.learner.client import Patience
from fedactors.learner.worker import inline
from fedactors.record import Event, RoundRecord
from fedactors.transport import Address, Transport
from fedactors.transport.malloc import keep_freed_memory

PARAMETERS = 100_000
COHORT = 1_000
WORKERS = 4
HEARTBEATS_PER_S = 1_000
"""That one controller is asked to bear: 10,000 learners are given a heartbeat of 10 s."""
MISSED_MAX = 5
PATIENCE_S = 300.0
AT_ONCE = 256
WARM_UP = 10
"""Learners that join first, so that what is loaded and made once is not counted."""


class Tiny(Learner):
    """Gives back what it gets."""

    num_train_examples = 100

    def get_weights(self):
        return {"w": np.zeros(PARAMETERS, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return weights, {"num_batches": 1}

    def evaluate(self, weights, params):
        return {"loss": 1.0, "num_examples": 100}


# ------------------------------------------------------------------------------------------------------------ learner processes


async def serve_learners(address: Address, first: int, count: int, *, shared: bool) -> None:
    """Learners in this process; a line says how many more shall connect."""
    transport: Transport = plugins.load("fedactors.transport", address.scheme)()
    channels = [transport.connect(address) for _ in range(1 if shared else count)]
    clients = [
        LearnerClient(
            Tiny(), f"learner-{first + index}", channels[index % len(channels)], patience=Patience(PATIENCE_S), work=inline
        )
        for index in range(count)
    ]
    print("ready", flush=True)
    running: list[asyncio.Task[None]] = []
    while len(running) < count:
        more = int(await asyncio.to_thread(sys.stdin.readline))
        running += [asyncio.create_task(client.run()) for client in clients[len(running) : len(running) + more]]
    await asyncio.gather(*running)
    await asyncio.gather(*(channel.close() for channel in channels))


@dataclass(slots=True)
class Hosts:
    """The processes of the learners, and how many of each have not been told to join."""

    waiting: dict[asyncio.subprocess.Process, int]

    def join(self, number: int) -> None:
        """Let so many more of them connect, shared out evenly; what a process does not have falls to the next."""
        fewest_first = sorted(self.waiting, key=self.waiting.__getitem__)
        for place, process in enumerate(fewest_first):
            share = min(number // (len(self.waiting) - place), self.waiting[process])
            number -= share
            self.waiting[process] -= share
            if share:
                assert process.stdin is not None
                process.stdin.write(f"{share}\n".encode())

    async def ended(self) -> None:
        """The federation has told all of them goodbye."""
        for process in self.waiting:
            await process.wait()


@asynccontextmanager
async def hosts(address: str, learners: range, workers: int, *, shared: bool) -> AsyncIterator[Hosts]:
    """Processes with so many learners, ready to join."""
    bounds = np.linspace(learners.start, learners.stop, workers + 1).astype(int).tolist()
    waiting: dict[asyncio.subprocess.Process, int] = {}
    try:
        for start, stop in pairwise(bounds):
            arguments = [__file__, "--serve", address, str(start), str(stop - start), str(int(shared))]
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=pipe, stdout=pipe)
            waiting[process] = stop - start
        for process in waiting:
            assert process.stdout is not None
            await process.stdout.readline()
        yield Hosts(waiting)
    finally:
        for process in waiting:
            if process.returncode is None:
                process.kill()
            await process.wait()


# ---------------------------------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True, slots=True)
class Figures:
    """One point; see the top of this file."""

    learners: int
    connections: str
    heartbeat_s: float
    joins_per_s: float
    join_cpu_ms: float
    kb_each: float
    kb_each_trimmed: float
    idle_cpu_percent: float
    join_lag: Lag
    idle_lag: Lag
    cohort: int
    accepted: int
    round_s: float
    round_cpu_s: float
    round_lag: Lag
    mbytes: float
    lost: int


def rss_kb() -> float:
    """Of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1024


def trim() -> None:
    """Give free memory back to the operating system, if the C library can."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


class News:
    """What the federation tells, counted as it comes."""

    def __init__(self, federation: Federation) -> None:
        self.joined = self.departed = 0
        self.committed: dict[str, Any] | None = None
        self.record: RoundRecord | None = None
        self._federation = federation
        self._came = asyncio.Event()
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async for event in self._federation.events():
            self._take(event)
            self._came.set()

    def _take(self, event: Event) -> None:
        match event.kind:
            case "learner_joined":
                self.joined += 1
            case "learner_departed":
                self.departed += 1
            case "round_committed":
                self.committed = dict(event.body)
            case "round_ended":
                self.record = RoundRecord.from_map(event.body["record"])

    async def until_joined(self, number: int) -> None:
        """So many learners are there."""
        while self.joined < number:
            self._came.clear()
            await self._came.wait()

    async def until_over(self) -> RoundRecord:
        """The federation is done; the record of its one round."""
        await self._task
        assert self.record is not None, "a federation of one round has a record of it"
        return self.record

    async def until_committed(self) -> None:
        """The round is committed."""
        while self.committed is None and not self._task.done():
            self._came.clear()
            await self._came.wait()


def configuration(learners: int, heartbeat_s: float) -> dict[str, Any]:
    """One round with a cohort of COHORT, and no evaluation."""
    return {
        "name": "connections",
        "learners": {"count": learners, "join_timeout_s": PATIENCE_S},
        "selection": {"policy": "uniform", "options": {"count": COHORT}},
        "evaluate": {"every": 0},
        "stop": {"rounds": 1},
        "liveness": {"heartbeat_s": heartbeat_s, "lost_after_s": MISSED_MAX * heartbeat_s},
        "limits": {"learners_max": learners},
    }


async def join_all(rest: Hosts, news: News, learners: int, at_once: int) -> None:
    """Have the others join, so many of them on their way at a time."""
    asked = news.joined
    while news.joined < learners:
        more = min(news.joined + at_once, learners) - asked
        if more >= min(at_once // 4, learners - asked):
            rest.join(more)
            asked += more
        await news.until_joined(news.joined + 1)
        print(f"\r{news.joined:,} of {learners:,} are here, {news.departed:,} left", end="\r", file=sys.stderr, flush=True)


@contextmanager
def profiled(path: str | None) -> Iterator[None]:
    """With cProfile's statistics of the block in this file, if there is a path."""
    profiler = cProfile.Profile()
    if path:
        profiler.enable()
    yield
    if path:
        profiler.disable()
        profiler.dump_stats(path)


async def measure(learners: int, address: str, arguments: argparse.Namespace) -> Figures:
    """One point, in a process that has done nothing else."""
    heartbeat_s = arguments.heartbeat_s or max(1.0, learners / HEARTBEATS_PER_S)
    shared, workers, idle_s = arguments.connections == "shared", min(WORKERS, os.cpu_count() or 1), arguments.idle_s
    async with Federation(configuration(learners, heartbeat_s), addresses=[address]) as federation:
        here, news = str(federation.addresses[0]), News(federation)
        async with (
            hosts(here, range(WARM_UP), 1, shared=shared) as first,
            hosts(here, range(WARM_UP, learners), workers, shared=shared) as rest,
        ):
            await join_all(first, news, WARM_UP, WARM_UP)
            trim()
            before_kb, cpu_s, began_s = rss_kb(), time.process_time(), time.perf_counter()
            async with LagMeter() as joining:
                with profiled(arguments.profile):
                    await join_all(rest, news, learners, arguments.at_once)
            took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
            gc.collect()
            after_kb = rss_kb()
            trim()
            trimmed_kb = rss_kb()
            await asyncio.sleep(min(heartbeat_s, idle_s))
            idle_cpu_s = time.process_time()
            with profiled(arguments.profile and f"{arguments.profile}.idle"):
                await asyncio.sleep(idle_s)
            idle_cpu_s = time.process_time() - idle_cpu_s
            async with LagMeter() as idling:
                await asyncio.sleep(idle_s)
            round_cpu_s, round_began_s = time.process_time(), time.perf_counter()
            async with LagMeter() as training:
                with profiled(arguments.profile and f"{arguments.profile}.round"):
                    await federation.admin.order("start")
                    await news.until_committed()
            round_s, round_cpu_s = time.perf_counter() - round_began_s, time.process_time() - round_cpu_s
            record = await news.until_over()
            await first.ended()
            await rest.ended()
    new = learners - WARM_UP
    return Figures(
        learners=learners,
        connections=arguments.connections,
        heartbeat_s=heartbeat_s,
        joins_per_s=new / took_s,
        join_cpu_ms=cpu_s / new * 1000,
        kb_each=(after_kb - before_kb) / new,
        kb_each_trimmed=(trimmed_kb - before_kb) / new,
        idle_cpu_percent=idle_cpu_s / idle_s * 100,
        join_lag=joining.lag,
        idle_lag=idling.lag,
        cohort=min(COHORT, learners),
        accepted=record.totals.accepted,
        round_s=round_s,
        round_cpu_s=round_cpu_s,
        round_lag=training.lag,
        mbytes=(record.totals.bytes_up + record.totals.bytes_down) / 1e6,
        lost=news.departed,
    )


# ------------------------------------------------------------------------------------------------------------------------- main


def allow_files() -> int:
    """Let this process and its children open as many files as the system lets it; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def point(learners: int, arguments: argparse.Namespace) -> Figures:
    """One point, in this process."""
    with TemporaryDirectory(prefix="fedactors-connections-") as folder:
        address = {"grpc": "grpc://127.0.0.1:0", "unix": f"grpc://{folder}/controller.sock", "tcp": "tcp://127.0.0.1:0"}[
            arguments.over
        ]
        return asyncio.run(measure(learners, address, arguments))


def point_apart(learners: int, options: list[str]) -> dict[str, Any]:
    """One point, in a process of its own."""
    command = [sys.executable, __file__, *options, "--point", str(learners)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


TITLES = ("learners", "joins/s", "cpu ms", "KB", "trimmed", "idle cpu", "round s", "ms each", "cpu s", "MB", "accepted", "lost")
PHASES = {"join_lag": "joining", "idle_lag": "idle", "round_lag": "round"}


def row(figures: dict[str, Any]) -> str:
    """One line of the table, and one with the event loop's lag."""
    cells = (
        f"{figures['learners']:,}",
        f"{figures['joins_per_s']:,.0f}",
        f"{figures['join_cpu_ms']:.2f}",
        f"{figures['kb_each']:.1f}",
        f"{figures['kb_each_trimmed']:.1f}",
        f"{figures['idle_cpu_percent']:.2f} %",
        f"{figures['round_s']:.2f}",
        f"{figures['round_s'] / figures['cohort'] * 1000:.1f}",
        f"{figures['round_cpu_s']:.2f}",
        f"{figures['mbytes']:,.0f}",
        f"{figures['accepted']:,}",
        f"{figures['lost']:,}",
    )
    return "".join(f"{cell:>10}" for cell in cells)


def lags(figures: dict[str, Any]) -> str:
    """How late the event loop was, in each phase."""
    parts = [
        f"{title} {figures[name]['p50_ms']:.1f} / {figures[name]['p99_ms']:.1f} / {figures[name]['max_ms']:.0f}"
        for name, title in PHASES.items()
    ]
    return f"{'':10}lag p50 / p99 / max, ms:  " + "   ".join(parts)


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="100 learners, a few seconds")
    parser.add_argument("--learners", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--connections", choices=("own", "shared"), default="own", help="shared: one for each learner process")
    parser.add_argument("--over", choices=("grpc", "unix", "tcp"), default="grpc", help="unix: gRPC over a Unix socket")
    parser.add_argument("--idle-s", type=float, default=10.0, help="how long they are idle, twice")
    parser.add_argument("--heartbeat-s", type=float, help="liveness.heartbeat_s; by default 1 s, 10 s with 10,000 learners")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="learners that are joining at a time")
    parser.add_argument(
        "--profile", help="write cProfile's statistics to FILE, FILE.idle and FILE.round; spoils the figures", metavar="FILE"
    )
    parser.add_argument("--point", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    keep_freed_memory()
    uvloop.install()
    files = allow_files()
    if arguments.serve:
        address, first, count, shared = arguments.serve
        asyncio.run(serve_learners(Address.parse(address), int(first), int(count), shared=shared == "1"))
        return
    if arguments.point:
        print(json.dumps(asdict(point(arguments.point, arguments))))
        return
    grid, idle_s = ([100], 0.5) if arguments.smoke else (arguments.learners, arguments.idle_s)
    options = ["--connections", arguments.connections, "--over", arguments.over, "--idle-s", str(idle_s)]
    options += ["--at-once", str(arguments.at_once)]
    options += ["--heartbeat-s", str(arguments.heartbeat_s)] if arguments.heartbeat_s else []
    options += ["--profile", arguments.profile] if arguments.profile else []
    print(f"{os.cpu_count()} cores, {sys.platform}, Python {sys.version.split()[0]}, {files:,} files, {' '.join(options)}")
    print("".join(f"{title:>10}" for title in TITLES))
    measured = []
    for learners in grid:
        measured.append(point_apart(learners, options))
        print(row(measured[-1]), lags(measured[-1]), sep="\n", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
