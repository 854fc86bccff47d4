"""How near do weights over gRPC come to a bare TCP socket, and how long is the event loop held up meanwhile?

One process serves, one process (spawned) takes the learners' part. Every figure is a ratio to a raw blocking-socket transfer of
the same bytes between the same two processes in the same run; machines are noisy, ratios less so. `--smoke` runs it small.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection

import numpy as np

from fedactors.errors import StreamClosed
from fedactors.model import Layout
from fedactors.protocol import (
    FETCH,
    BlobReceiver,
    BufferPool,
    PushAnswer,
    answer_push,
    encode_blob,
    fetch,
    push,
    read_fetch,
    read_opening,
    receive_blob,
    send_blob,
)
from fedactors.protocol.weight_streams import WeightStreams
from fedactors.task import TrainReport
from fedactors.transport import Address, Stream
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.malloc import keep_freed_memory

SMOKE = "--smoke" in sys.argv
MODEL_BYTES = (2 if SMOKE else 40) * 1024 * 1024
REPEATS = 2 if SMOKE else 10
STREAMS = 4 if SMOKE else 50
LAG_PERIOD_S = 0.002
LAYOUT = Layout.from_specs([("w", "uint8", (MODEL_BYTES,))])


class LagMeter:
    """How much later than asked for the event loop wakes a task up, in milliseconds."""

    def __init__(self) -> None:
        self._lags_ms: list[float] = []
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            asked_s = time.perf_counter() + LAG_PERIOD_S
            await asyncio.sleep(LAG_PERIOD_S)
            self._lags_ms.append((time.perf_counter() - asked_s) * 1000)

    def stop(self) -> str:
        self._task.cancel()
        lags_ms = np.array(self._lags_ms or [0.0])
        return f"loop lag p99 {np.percentile(lags_ms, 99):.1f} ms, max {lags_ms.max():.1f} ms"


def learners(address: str, raw_port: int, results: Connection) -> None:
    """The other process."""
    keep_freed_memory()
    asyncio.run(learn(Address.parse(address), raw_port, results))


async def learn(address: Address, raw_port: int, results: Connection) -> None:
    """Transfer, and tell how long it took."""
    results.send(("raw", raw_receive(raw_port)))
    channel = GrpcTransport().connect(address)
    streams = WeightStreams(channel)
    pool = BufferPool(STREAMS)
    for what in ("down", "up"):
        times_s = []
        for _ in range(REPEATS):
            began_s = time.perf_counter()
            if what == "down":
                _, buffer = await fetch(streams, b"", 1, known=LAYOUT, pool=pool)
            else:
                buffer = pool.take(LAYOUT.nbytes)
                await push(streams, b"", "t", LAYOUT, buffer, TrainReport(1), layout_known=True)
            times_s.append(time.perf_counter() - began_s)
            pool.give(buffer)
        results.send((what, float(np.median(times_s))))

    async def one() -> None:
        _, buffer = await fetch(streams, b"", 1, known=LAYOUT, pool=pool)
        pool.give(buffer)

    for _ in range(2):
        began_s = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(STREAMS)))
    results.send(("broadcast", (time.perf_counter() - began_s) / STREAMS))
    await channel.close()
    results.send(("done", 0.0))


def raw_receive(port: int) -> float:
    """Median seconds for the same bytes over a blocking socket."""
    view = memoryview(bytearray(MODEL_BYTES))
    times_s = []
    with socket.create_connection(("127.0.0.1", port)) as client:
        for _ in range(REPEATS):
            began_s, at = time.perf_counter(), 0
            client.sendall(b"x")
            while at < MODEL_BYTES:
                at += client.recv_into(view[at:])
            times_s.append(time.perf_counter() - began_s)
    return float(np.median(times_s))


def raw_serve(server: socket.socket) -> None:
    """The other end of `raw_receive`."""
    data = bytes(MODEL_BYTES)
    with server, server.accept()[0] as peer:
        for _ in range(REPEATS):
            peer.recv(1)
            peer.sendall(data)


async def serve() -> None:
    """Listen, start the other process, and print what it tells."""
    blob = encode_blob(1, LAYOUT, np.ones(MODEL_BYTES, np.uint8))
    pool = BufferPool()

    async def accept(stream: Stream) -> None:
        with suppress(StreamClosed):
            while True:
                await (fetched(stream) if stream.method == FETCH else pushed(stream))

    async def fetched(stream: Stream) -> None:
        await read_fetch(stream)
        await send_blob(stream, blob, layout_known=True)

    async def pushed(stream: Stream) -> None:
        opening = await read_opening(stream)
        out = pool.take(LAYOUT.nbytes)
        await receive_blob(stream, opening, BlobReceiver(LAYOUT, MODEL_BYTES, out))
        await answer_push(stream, PushAnswer(True))
        pool.give(out)

    listener = await GrpcTransport().listen(Address.parse("grpc://127.0.0.1:0"), accept)
    raw = socket.create_server(("127.0.0.1", 0))
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=learners, args=(str(listener.address), raw.getsockname()[1], theirs)
    )
    child.start()
    await asyncio.to_thread(raw_serve, raw)
    await report(ours)
    await asyncio.to_thread(child.join)
    await listener.close(0.5)


async def report(results: Connection) -> None:
    """One line for each figure, with this process's loop lag meanwhile."""
    meter, raw_s = LagMeter(), 0.0
    while True:
        what, seconds = await asyncio.to_thread(results.recv)
        lag = meter.stop()
        if what == "done":
            return
        raw_s = seconds if what == "raw" else raw_s
        rate = f"{MODEL_BYTES / seconds / 1e6:7.0f} MB/s"
        print(f"{what:10} {rate}   r = {raw_s / seconds:.2f}   {lag}{' (nothing but noise)' if what == 'raw' else ''}")
        meter = LagMeter()


if __name__ == "__main__":
    keep_freed_memory()
    asyncio.run(serve())
