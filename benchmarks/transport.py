"""How near do weights come to a bare TCP socket, and what do control messages suffer meanwhile?

One process serves, one process (spawned) takes the learners' part, both tuned as the command line tunes its processes. Transfers
are a ratio r to a raw blocking-socket transfer of the same bytes between the same two processes in the same run; machines are
noisy, ratios less so.

    python benchmarks/transport.py --smoke                              a few seconds
    python benchmarks/transport.py --json results.json                  40 MiB over gRPC
    python benchmarks/transport.py --transport tcp                      40 MiB over plain TCP
    python benchmarks/transport.py --mib 1024 --application             a model of 1 GiB the two `app` rows alone

    down, up       one learner's downloads and uploads, by the protocol's functions
    broadcast      STREAMS downloads of one version at a time
    app down, up   the same between applications: a federation's controller, a `LearnerClient` and the learner's code; what a
                   round spends until the weights are out, and from then until its update is here, checked
    ping, ping*    an evaluation's report and the answer to it on a session, alone and amid downloads on the same connection
    pings          the same on CONNECTIONS sessions with connections of their own, all together
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import uvloop
from loop_lag import Lag, LagMeter

from fedactors import Federation, Learner, plugins
from fedactors.errors import StreamClosed
from fedactors.learner import LearnerClient
from fedactors.model import Layout
from fedactors.protocol import (
    FETCH,
    SESSION,
    BlobReceiver,
    BufferPool,
    Cancel,
    EncodedBlob,
    Evaluated,
    Goodbye,
    GoodbyeReason,
    Hello,
    PushAnswer,
    Session,
    Welcome,
    answer_push,
    encode_blob,
    fetch,
    join,
    push,
    read_fetch,
    read_hello,
    read_opening,
    receive_blob,
    send_blob,
    welcome,
)
from fedactors.protocol.weight_streams import WeightStreams
from fedactors.record import RoundRecord
from fedactors.runtime.garbage import collect_seldom
from fedactors.runtime.switching import take_short_turns
from fedactors.task import EvaluationReport, TrainReport
from fedactors.transport import Address, Channel, Stream, Transport
from fedactors.transport.malloc import keep_freed_memory

QUIET = Welcome(b"token", heartbeat_s=60.0, lost_after_s=300.0, chunk_bytes=1024 * 1024)
REPORT = Evaluated("1", EvaluationReport(100, {"loss": 1.0}))
JOIN_TIMEOUT_S = 60.0
ROUNDS_PER_REPEAT = 6
"""Of a federation: its event loop is late for a second when the kernels of the fold are loaded, once; that is not all it does."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    model_bytes: int
    repeats: int
    streams: int
    pings: int
    connections: int
    application_only: bool
    scheme: str

    @property
    def transport(self) -> Transport:
        """That is measured."""
        return plugins.load("fedactors.transport", self.scheme)()

    @property
    def layout(self) -> Layout:
        """Of the model."""
        return Layout.from_specs([("w", "uint8", (self.model_bytes,))])


@dataclass(frozen=True, slots=True)
class Places:
    """Where the other process finds what serves it."""

    protocol: str
    application: str
    raw_port: int


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured; seconds of one transfer or one answer."""

    what: str
    seconds: float
    p99_s: float | None = None


class Still(Learner):
    """Gives back what it gets."""

    num_train_examples = 1

    def __init__(self, model_bytes: int) -> None:
        self.model_bytes = model_bytes

    def get_weights(self):
        return {"w": np.zeros(self.model_bytes // 4, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return weights, {"num_batches": 1}

    def evaluate(self, weights, params):
        return {"loss": 1.0, "num_examples": 1}


# --------------------------------------------------------------------------------------------------------- the learners' process


def learners(plan: Plan, places: Places, results: Connection) -> None:
    """The other process."""
    keep_freed_memory()
    collect_seldom()
    take_short_turns()
    uvloop.install()
    results.send(Figure("raw", raw_receive(plan, places.raw_port)))
    asyncio.run(learn(plan, places, results))


async def learn(plan: Plan, places: Places, results: Connection) -> None:
    """Transfer and talk, and tell how long it took."""
    if not plan.application_only:
        address = Address.parse(places.protocol)
        channel = plan.transport.connect(address)
        for measure in (transfers, broadcast, control):
            await measure(plan, channel, results)
        await channel.close()
        await many_connections(plan, address, results)
    channel = plan.transport.connect(Address.parse(places.application))
    results.send(None)
    await LearnerClient(Still(plan.model_bytes), "learner", channel).run()
    await channel.close()


async def transfers(plan: Plan, channel: Channel, results: Connection) -> None:
    """One learner's."""
    streams, pool, layout = WeightStreams(channel), BufferPool(), plan.layout

    async def down() -> None:
        pool.give((await fetch(streams, b"", 1, known=layout, pool=pool))[1])

    async def up() -> None:
        buffer = pool.take(layout.nbytes)
        await push(streams, b"", "t", layout, buffer, TrainReport(1), layout_known=True)
        pool.give(buffer)

    for what, transfer in (("down", down), ("up", up)):
        times_s = [await timed(transfer) for _ in range(plan.repeats + 1)]
        results.send(Figure(what, statistics.median(times_s[1:])))


async def broadcast(plan: Plan, channel: Channel, results: Connection) -> None:
    """To many learners at a time, the second time: buffers are warm."""
    streams, pool, layout = WeightStreams(channel), BufferPool(plan.streams), plan.layout

    async def one() -> None:
        pool.give((await fetch(streams, b"", 1, known=layout, pool=pool))[1])

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(plan.streams)))

    await all_of_them()
    results.send(Figure("broadcast", await timed(all_of_them) / plan.streams))


async def control(plan: Plan, channel: Channel, results: Connection) -> None:
    """A learner's answers, alone and amid downloads."""
    streams, pool, layout = WeightStreams(channel), BufferPool(), plan.layout
    session, _ = await join(channel, Hello("learner"), timeout_s=JOIN_TIMEOUT_S)
    results.send(answers("ping", [await timed(lambda: ask(session)) for _ in range(plan.pings)]))

    async def load() -> None:
        while True:
            pool.give((await fetch(streams, b"", 1, known=layout, pool=pool))[1])

    loading = asyncio.create_task(load())
    results.send(answers("ping*", [await timed(lambda: ask(session)) for _ in range(plan.pings)]))
    loading.cancel()
    await asyncio.wait([loading])
    await part(session)


async def many_connections(plan: Plan, address: Address, results: Connection) -> None:
    """Seconds for one answer when as many as there are connections are on their way."""
    channels = [plan.transport.connect(address) for _ in range(plan.connections)]
    joined = await asyncio.gather(*(join(channel, Hello("learner"), timeout_s=JOIN_TIMEOUT_S) for channel in channels))
    each = max(2, plan.pings // plan.connections)

    async def talk(session: Session) -> None:
        for _ in range(each):
            await ask(session)

    async def all_of_them() -> None:
        await asyncio.gather(*(talk(session) for session, _ in joined))

    results.send(Figure("pings", await timed(all_of_them) / (each * plan.connections)))
    await asyncio.gather(*(part(session) for session, _ in joined))
    await asyncio.gather(*(channel.close() for channel in channels))


async def ask(session: Session) -> None:
    """An answer's way and back."""
    await session.send(REPORT)
    await session.receive()


async def part(session: Session) -> None:
    """Say goodbye, and wait until it was heard."""
    await session.goodbye(GoodbyeReason.LEFT)
    await session.close()


async def timed(work: Callable[[], Awaitable[None]]) -> float:
    """Seconds that it takes."""
    began_s = time.perf_counter()
    await work()
    return time.perf_counter() - began_s


def answers(what: str, times_s: list[float]) -> Figure:
    """Their median and 99th percentile."""
    median_s, p99_s = np.percentile(times_s, (50, 99))
    return Figure(what, float(median_s), float(p99_s))


def raw_receive(plan: Plan, port: int) -> float:
    """Median seconds for the same bytes over a blocking socket."""
    view = memoryview(bytearray(plan.model_bytes))
    times_s = []
    with socket.create_connection(("127.0.0.1", port)) as client:
        for _ in range(plan.repeats + 1):
            began_s, at = time.perf_counter(), 0
            client.sendall(b"x")
            while at < plan.model_bytes:
                at += client.recv_into(view[at:])
            times_s.append(time.perf_counter() - began_s)
    return statistics.median(times_s[1:])


# ------------------------------------------------------------------------------------------------------------ the serving process


def raw_serve(plan: Plan, server: socket.socket) -> None:
    """The other end of `raw_receive`."""
    data = bytes(plan.model_bytes)
    with server, server.accept()[0] as peer:
        for _ in range(plan.repeats + 1):
            peer.recv(1)
            peer.sendall(data)


class Controller:
    """Serves every method by the protocol's functions alone."""

    def __init__(self, plan: Plan) -> None:
        self._layout = plan.layout
        self._pool = BufferPool()

    @cached_property
    def _blob(self) -> EncodedBlob:
        return encode_blob(1, self._layout, np.ones(self._layout.nbytes, np.uint8))

    async def accept(self, stream: Stream) -> None:
        """One stream, with one transfer after another."""
        with suppress(StreamClosed):
            if stream.method == SESSION:
                return await self._talk(stream)
            while True:
                await (self._fetched(stream) if stream.method == FETCH else self._pushed(stream))

    async def _talk(self, stream: Stream) -> None:
        await read_hello(stream, timeout_s=JOIN_TIMEOUT_S)
        async with await welcome(stream, QUIET) as session:
            while not isinstance(message := await session.receive(), Goodbye):
                assert isinstance(message, Evaluated)
                await session.send(Cancel(message.task))

    async def _fetched(self, stream: Stream) -> None:
        await read_fetch(stream)
        await send_blob(stream, self._blob, layout_known=True)

    async def _pushed(self, stream: Stream) -> None:
        opening = await read_opening(stream)
        out = self._pool.take(self._layout.nbytes)
        await receive_blob(stream, opening, BlobReceiver(self._layout, self._layout.nbytes, out))
        await answer_push(stream, PushAnswer(True))
        self._pool.give(out)


@dataclass(frozen=True, slots=True)
class Row:
    """A figure with what it is a ratio of, and this process's loop lag meanwhile."""

    figure: Figure
    r: float
    lag: Lag


async def measure(plan: Plan) -> list[Row]:
    """Listen, start the other process, and take down what it tells."""
    any_port = f"{plan.scheme}://127.0.0.1:0"
    config = {"stop": {"rounds": ROUNDS_PER_REPEAT * plan.repeats + 1}, "evaluate": {"every": 0}}
    listener = await plan.transport.listen(Address.parse(any_port), Controller(plan).accept)
    async with Federation(config, addresses=[any_port]) as federation:
        raw = socket.create_server(("127.0.0.1", 0))
        places = Places(str(listener.address), str(federation.addresses[0]), raw.getsockname()[1])
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        child = multiprocessing.get_context("spawn").Process(target=learners, args=(plan, places, theirs))
        child.start()
        await asyncio.to_thread(raw_serve, plan, raw)
        rows = await taken_down(ours)
        rows += await application(federation, rows[0].figure.seconds)
        await asyncio.to_thread(child.join)
    await listener.close(0.5)
    return rows


async def taken_down(results: Connection) -> list[Row]:
    """What the other process tells, until it is done; the first figure is the raw transfer."""
    rows: list[Row] = []
    while True:
        async with LagMeter() as meter:
            figure = await asyncio.to_thread(results.recv)
        if figure is None:
            return rows
        raw_s = rows[0].figure.seconds if rows else figure.seconds
        rows.append(Row(figure, raw_s / figure.seconds, meter.lag))
        print(line(rows[-1]), flush=True)


async def application(federation: Federation, raw_s: float) -> list[Row]:
    """A federation with one learner; the first round is not counted."""
    async with LagMeter() as meter:
        await federation.admin.order("start")
        news = federation.events()
        records = [RoundRecord.from_map(event.body["record"]) async for event in news if event.kind == "round_ended"]
    rows = []
    for what, name in (("app down", "dispatch_s"), ("app up", "train_s")):
        seconds = statistics.median(getattr(record.phases, name) for record in records[1:])
        rows.append(Row(Figure(what, seconds), raw_s / seconds, meter.lag))
        print(line(rows[-1]), flush=True)
    return rows


def line(row: Row) -> str:
    """For people."""
    lag = f"loop lag p99 {row.lag.p99_ms:.1f} ms, max {row.lag.max_ms:.1f} ms"
    figure = row.figure
    if figure.p99_s is not None:
        value = f"{figure.seconds * 1000:7.2f} ms, p99 {figure.p99_s * 1000:.2f} ms"
    elif figure.what == "pings":
        value = f"{1 / figure.seconds:7,.0f} /s"
    else:
        value = f"{figure.seconds * 1000:7.1f} ms, r = {row.r:.2f}"
    return f"{figure.what:10} {value:28} {lag}"


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few seconds")
    parser.add_argument("--mib", type=int, default=40, help="of the model")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--application", action="store_true", help="only from application to application")
    parser.add_argument("--transport", choices=("grpc", "tcp"), default="grpc")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    mib = 1024 * 1024
    if arguments.smoke:
        plan = Plan(2 * mib, 2, 4, 50, 20, arguments.application, arguments.transport)
    else:
        plan = Plan(arguments.mib * mib, arguments.repeats, 50, 2_000, 1_000, arguments.application, arguments.transport)
    keep_freed_memory()
    collect_seldom()
    take_short_turns()
    uvloop.install()
    rows = asyncio.run(measure(plan))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / plan.model_bytes
    print(f"peak memory of the serving process: {peak:.1f} models of {plan.model_bytes // mib:,} MiB")
    if arguments.json:
        result = {"plan": asdict(plan), "peak_models": peak, "rows": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
