"""Streams for weights serve one transfer after another."""

import asyncio

import numpy as np
import pytest

from fedactors.errors import StreamClosed
from fedactors.model import Layout
from fedactors.protocol import (
    BlobReceiver,
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
from fedactors.protocol.messages import FETCH
from fedactors.protocol.weight_streams import WeightStreams
from fedactors.task import TrainReport
from fedactors.testing.conformance_transport import connected
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.memory import MemoryTransport

BOTH = pytest.mark.parametrize(
    ("transport", "address"),
    [(MemoryTransport(), Address.parse("memory://weights")), (GrpcTransport(), Address.parse("grpc://127.0.0.1:0"))],
    ids=["memory", "grpc"],
)
LAYOUT = Layout.from_specs([("a", "float32", (500,)), ("b", "int8", (5,))])


class Controller:
    """Serves any number of transfers on each stream; counts both."""

    def __init__(self):
        self.streams = self.fetches = 0
        self.received = []
        self.eager = []
        self.break_at = None

    async def accept(self, stream):
        self.streams += 1
        while True:
            try:
                await (self.fetch(stream) if stream.method == FETCH else self.push(stream))
            except StreamClosed:
                return

    async def fetch(self, stream):
        request = await read_fetch(stream)
        self.fetches += 1
        if self.fetches == self.break_at:
            stream.cut("a storm")
            return
        blob = encode_blob(request.version, LAYOUT, model(request.version), chunk_bytes=700)
        await send_blob(stream, blob, layout_known=request.layout_digest == LAYOUT.digest)

    async def push(self, stream):
        opening = await read_opening(stream)
        self.eager.append(len(opening.chunk) > 0)
        if opening.task == "refused":
            await answer_push(stream, PushAnswer(False, "late", "the round is over"))
            return
        out = np.empty(LAYOUT.nbytes, np.uint8)
        await receive_blob(stream, opening, BlobReceiver(LAYOUT, LAYOUT.nbytes, out))
        self.received.append(out)
        await answer_push(stream, PushAnswer(True))


def model(version):
    return np.random.default_rng(version).integers(0, 256, LAYOUT.nbytes, np.uint8)


@BOTH
async def test_downloads_share_a_stream(transport, address):
    controller = Controller()
    async with connected(transport, address, controller.accept) as (channel, _):
        streams = WeightStreams(channel)
        known = None
        for version in range(5):
            known, buffer = await fetch(streams, b"", version, known=known)
            assert np.array_equal(buffer, model(version))
        streams.close()
    assert controller.streams == 1


@BOTH
async def test_a_stream_that_was_cut_is_replaced(transport, address):
    controller = Controller()
    controller.break_at = 2
    async with connected(transport, address, controller.accept) as (channel, _):
        streams = WeightStreams(channel)
        await fetch(streams, b"", 1)
        with pytest.raises(StreamClosed):
            await fetch(streams, b"", 2)
        _, buffer = await fetch(streams, b"", 3)
        assert np.array_equal(buffer, model(3))
        streams.close()
    assert controller.streams == 2


@BOTH
async def test_transfers_at_the_same_time_have_streams_of_their_own(transport, address):
    controller = Controller()
    async with connected(transport, address, controller.accept) as (channel, _):
        streams = WeightStreams(channel)
        for _ in range(3):
            fetched = await asyncio.gather(*(fetch(streams, b"", version) for version in range(4)))
            assert all(np.array_equal(buffer, model(version)) for version, (_, buffer) in enumerate(fetched))
        streams.close()
    assert controller.streams == 4


@BOTH
async def test_a_transfer_that_is_cancelled_ends_its_stream(transport, address):
    controller = Controller()
    async with connected(transport, address, controller.accept) as (channel, _):
        streams = WeightStreams(channel)
        used = asyncio.get_running_loop().create_future()

        async def transfer():
            async with streams.stream(FETCH) as stream:
                used.set_result(stream)
                await asyncio.Event().wait()

        transferring = asyncio.ensure_future(transfer())
        stream = await used
        transferring.cancel()
        await asyncio.wait([transferring])
        assert stream.is_over
        await fetch(streams, b"", 1)
        streams.close()


@BOTH
@pytest.mark.parametrize("eager_bytes", [0, LAYOUT.nbytes - 1, LAYOUT.nbytes])
async def test_updates_share_a_stream_and_small_ones_need_no_grant(transport, address, eager_bytes):
    controller = Controller()
    async with connected(transport, address, controller.accept) as (channel, _):
        streams = WeightStreams(channel)
        for version, task in enumerate(["a", "refused", "b", "c"]):
            answer = await push(
                streams,
                b"",
                task,
                LAYOUT,
                model(version),
                TrainReport(1),
                layout_known=True,
                chunk_bytes=900,
                eager_bytes=eager_bytes,
            )
            assert answer.accepted == (task != "refused")
        streams.close()
    assert controller.streams == 1
    assert controller.eager == [eager_bytes == LAYOUT.nbytes] * 4
    assert [out.tobytes() for out in controller.received] == [model(version).tobytes() for version in (0, 2, 3)]
