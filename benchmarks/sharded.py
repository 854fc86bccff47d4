"""How much memory does a controller need for a model that it combines in shards, and is the result the same?

A model of float32 tensors goes through the real controller over gRPC and TCP: it is sent to every learner in every round, every
learner sends an update, fedavg weights them by their examples. Learners are a process of their own, with one copy of the version
for all of them; an update is made of it chunk by chunk while it is sent. Models lie in files, as those of `fedactors up` do.

    python benchmarks/sharded.py --smoke              a model of 4 MB in shards, a few seconds
    python benchmarks/sharded.py                      500 million parameters (2 GB), 8 learners, 32 shards; then unsharded
    python benchmarks/sharded.py --parameters 50000000 --shards 16 --learners 8 --json results.json

The unsharded run is the reference for the bits. So that it fits into a machine's memory, its updates are folded as they come, and
its learners take turns in the order of their names, which is the order that the sharded run folds them in.

What the columns mean, all of them of the controller's process, beyond what it held before there was a model, in models:

    peak         the most memory that it held at a time (VmHWM)
    anonymous    the most that was no file's; what is a file's can be taken out by the operating system
    bound        2 models, and of each shard in flight what it holds: a window for each upload, 3 shards for each fold thread
    round s      from the first commit to the last, by round: everything shares this machine's cores
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import uvloop

from fedactors import Federation
from fedactors.actors.spill import WINDOW_BYTES_MAX
from fedactors.model import Layout
from fedactors.protocol import BufferPool, Download, Evaluated, Goodbye, Hello, Task, Upload, join
from fedactors.protocol.weight_streams import WeightStreams
from fedactors.runtime.garbage import collect_seldom
from fedactors.runtime.switching import take_short_turns
from fedactors.sharing import FOLD_THREADS
from fedactors.task import EvaluationReport, TaskKind, TrainReport
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.malloc import keep_freed_memory

TENSORS = 20
UPLOADS_MAX = 4
SHARDS_A_THREAD = 3
"""Of a shard at work in a thread: an update's stretch, the accumulator, the result."""
BASE_BYTES = 640 * 1024**2
"""What a controller may need besides models: frames on their way, and freed memory, of which it keeps up to half a gigabyte."""
SAMPLE_S = 0.01


def layout_of(parameters: int) -> Layout:
    """A model of so many float32 parameters, in tensors that no shard's boundary falls between."""
    sizes = [parameters // TENSORS + 1] * (TENSORS - 1)
    return Layout.from_specs([(f"layer-{n}", "float32", (size,)) for n, size in enumerate([*sizes, parameters - sum(sizes)])])


# ---------------------------------------------------------------------------------------------------------- the learners' process


class Shared(BufferPool):
    """One buffer for the version, whoever downloads it: all of them write the same into it."""

    def __init__(self, buffer: np.ndarray) -> None:
        super().__init__()
        self.buffer = buffer

    def take(self, nbytes: int) -> np.ndarray:
        assert nbytes == self.buffer.nbytes
        return self.buffer

    def give(self, buffer: np.ndarray) -> None:
        pass


class Drift:
    """An update, made of the version when it is sent: every weight times a factor of the learner's own."""

    def __init__(self, version: np.ndarray, factor: float) -> None:
        self.nbytes = version.nbytes
        self.data = self
        self._version = version
        self._factor = np.float32(factor)

    def __len__(self) -> int:
        return self.nbytes

    def __getitem__(self, at: slice) -> memoryview:
        return (self._version[at].view(np.float32) * self._factor).view(np.uint8).data


class Turn:
    """Whose turn it is to send an update; everybody's, where they need not take turns."""

    def __init__(self, learners: int, *, is_taken: bool) -> None:
        self._learners = learners
        self._is_taken = is_taken
        self._next = 0
        self._changed = asyncio.Condition()

    async def begin(self, index: int) -> None:
        """Wait for it."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._is_taken or self._next == index)

    async def end(self) -> None:
        """It is the next one's."""
        async with self._changed:
            self._next = (self._next + 1) % self._learners
            self._changed.notify_all()


class Cheap:
    """A learner that holds nothing of its own."""

    def __init__(self, index: int, layout: Layout, shared: Shared, turn: Turn) -> None:
        self._index = index
        self._layout = layout
        self._shared = shared
        self._turn = turn
        self._has = -1

    async def run(self, channel: Any) -> None:
        """Take part until the federation is done."""
        session, terms = await join(channel, Hello(f"learner-{self._index:02}", num_train_examples=1), timeout_s=60)
        streams = WeightStreams(channel)
        async with session:
            while not isinstance(message := await session.receive(), Goodbye):
                if isinstance(message, Task):
                    await self._do(message, session, streams, terms)
        streams.close()

    async def _do(self, task: Task, session: Any, streams: WeightStreams, terms: Any) -> None:
        if task.kind is not TaskKind.INITIALISE and task.version != self._has:
            await Download(task.version, known=self._layout, pool=self._shared).attempt(streams, terms.token)
            self._has = task.version
        match task.kind:
            case TaskKind.INITIALISE:
                await self._push(task, self._shared.buffer, streams, terms, layout_known=False)
            case TaskKind.TRAIN:
                await self._turn.begin(self._index)
                update = Drift(self._shared.buffer, 1 + (self._index + 1) / 64)
                await self._push(task, update, streams, terms, layout_known=True)
                await self._turn.end()
            case TaskKind.EVALUATE:
                await session.send(Evaluated(task.id, EvaluationReport(1, {})))

    async def _push(self, task: Task, weights: Any, streams: WeightStreams, terms: Any, *, layout_known: bool) -> None:
        report = TrainReport(100 + 7 * self._index)
        upload = Upload(task.id, self._layout, weights, report, layout_known=layout_known)
        answer = await upload.attempt(streams, terms.token, chunk_bytes=terms.chunk_bytes)
        assert answer.accepted, answer.why


async def serve_learners(address: str, learners: int, parameters: int, *, in_turn: bool) -> None:
    """All of them in this process; what the last version is, is told at the end."""
    layout = layout_of(parameters)
    buffer = np.zeros(layout.nbytes, np.uint8)
    rng = np.random.default_rng(1)
    for view in layout.views(buffer).values():
        view[...] = rng.random(view.size, np.float32)
    shared, turn = Shared(buffer), Turn(learners, is_taken=in_turn)
    transport, place = GrpcTransport(), Address.parse(address)
    channels = [transport.connect(place) for _ in range(learners)]
    await asyncio.gather(*(Cheap(n, layout, shared, turn).run(channel) for n, channel in enumerate(channels)))
    print(hashlib.sha256(buffer.data).hexdigest(), flush=True)
    await asyncio.gather(*(channel.close() for channel in channels))


# ------------------------------------------------------------------------------------------------------- the controller's process


class Memory:
    """What this process holds, in bytes, looked at every SAMPLE_S."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.anonymous = 0
        self.base = _status()["VmRSS"]
        self.peak = self.base

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            now = _status()
            self.anonymous = max(self.anonymous, now["RssAnon"])
            self.peak = max(self.peak, now["VmRSS"])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.peak = max(self.peak, _status()["VmHWM"])


def _status() -> dict[str, int]:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest}


def configuration(shards: int, learners: int, rounds: int, folder: Path, *, in_turn: bool) -> dict[str, Any]:
    """Of a federation whose models and waiting updates lie in a folder; without shards it folds as updates come."""
    return {
        "name": "sharded",
        "seed": 1,
        "learners": {"count": learners, "join_timeout_s": 600.0},
        "aggregation": {"shards": shards, "shards_dir": str(folder), "deterministic": not in_turn},
        "store": {"url": f"file://{folder / 'store'}", "options": {"lineage_length": 2}},
        "stop": {"rounds": rounds},
        "limits": {"uploads_max": UPLOADS_MAX},
        "liveness": {"heartbeat_s": 10.0, "lost_after_s": 120.0},
    }


async def lead(config: dict[str, Any], learners: int, parameters: int, *, in_turn: bool) -> dict[str, Any]:
    """A whole run; its figures."""
    async with Federation(config, addresses=["grpc://127.0.0.1:0"]) as federation:
        arguments = [__file__, "--serve", str(federation.addresses[0]), str(learners), str(parameters), str(int(in_turn))]
        with Memory() as memory:
            worker = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
            await federation.admin.order("start")
            commits = [time.perf_counter() async for event in federation.events() if event.kind == "round_committed"]
        told, _ = await worker.communicate()
    nbytes = layout_of(parameters).nbytes
    return {
        "sha256": told.decode().strip(),
        "peak": (memory.peak - memory.base) / nbytes,
        "anonymous": (memory.anonymous - memory.base) / nbytes,
        "round_s": (commits[-1] - commits[0]) / (len(commits) - 1),
    }


# ---------------------------------------------------------------------------------------------------------------- the two of them


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run; memory in models."""

    shards: int
    learners: int
    parameters: int
    rounds: int
    peak: float
    anonymous: float
    bound: float
    round_s: float
    sha256: str


def bound(shards: int, parameters: int) -> float:
    """What a run in shards may hold at a time, in models."""
    nbytes = layout_of(parameters).nbytes
    windows = 3 * 2 * UPLOADS_MAX * min(nbytes / shards, WINDOW_BYTES_MAX)
    return 2 + FOLD_THREADS * SHARDS_A_THREAD / shards + (windows + BASE_BYTES) / nbytes


async def measure(shards: int, learners: int, parameters: int, rounds: int, folder: Path) -> Figures:
    """A run in a process of its own, whose memory is nobody else's."""
    with tempfile.TemporaryDirectory(prefix="sharded-", dir=folder) as own:
        arguments = [__file__, "--lead", str(shards), str(learners), str(parameters), str(rounds), own]
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(process.returncode)
    most = bound(shards, parameters) if shards > 1 else float("nan")
    return Figures(shards, learners, parameters, rounds, bound=most, **json.loads(told))


def show(figures: Figures) -> None:
    """One line of the table."""
    values = (figures.peak, figures.anonymous, figures.bound, figures.round_s)
    print(f"{figures.shards:>6}" + "".join(f"{value:>12.2f}" for value in values) + f"   {figures.sha256[:16]}", flush=True)


async def compare(shards: Sequence[int], learners: int, parameters: int, rounds: int, folder: Path) -> list[Figures]:
    """A run for each number of shards; the bits must be the same, and those in shards keep to their bound."""
    print(f"{'shards':>6}{'peak':>12}{'anonymous':>12}{'bound':>12}{'round s':>12}   sha256")
    measured = []
    for number in shards:
        measured.append(await measure(number, learners, parameters, rounds, folder))
        show(measured[-1])
    assert len({figures.sha256 for figures in measured}) == 1, "shards gave other bits"
    assert all(figures.peak <= figures.bound for figures in measured if figures.shards > 1), "shards took more than their bound"
    return measured


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--smoke", action="store_true", help="a small model, a few seconds")
    parser.add_argument("--parameters", type=int, default=500_000_000)
    parser.add_argument("--learners", type=int, default=8)
    parser.add_argument("--shards", type=int, nargs="+", default=[32, 1], help="1: unsharded")
    parser.add_argument("--rounds", type=int, default=3, help="the first one is not counted, >= 2")
    parser.add_argument("--folder", type=Path, help="on a disk with room for (learners + 4) models; by default the system's")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--lead", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    keep_freed_memory()
    collect_seldom()
    take_short_turns()
    uvloop.install()
    if arguments.serve:
        address, learners, parameters, in_turn = arguments.serve
        asyncio.run(serve_learners(address, int(learners), int(parameters), in_turn=in_turn == "1"))
        return
    if arguments.lead:
        shards, learners, parameters, rounds = map(int, arguments.lead[:4])
        in_turn = shards == 1
        config = configuration(shards, learners, rounds, Path(arguments.lead[4]), in_turn=in_turn)
        print(json.dumps(asyncio.run(lead(config, learners, parameters, in_turn=in_turn))), flush=True)
        return
    if arguments.smoke:
        arguments.parameters, arguments.learners, arguments.shards, arguments.rounds = 1_000_003, 3, [4], 2
    print(
        f"{os.cpu_count()} cores, {arguments.learners} learners, {arguments.parameters:,} parameters, {arguments.rounds} rounds"
    )
    folder = arguments.folder or Path(tempfile.gettempdir())
    measured = asyncio.run(compare(arguments.shards, arguments.learners, arguments.parameters, arguments.rounds, folder))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(figures) for figures in measured], indent=2) + "\n")


if __name__ == "__main__":
    main()
