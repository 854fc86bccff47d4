"""Downloads and uploads that are cut, and go on where they were."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedactors.errors import RemoteProtocolError, StreamClosed
from fedactors.model import Layout
from fedactors.protocol import (
    PUSH,
    BlobReceiver,
    BufferPool,
    Download,
    FetchRefused,
    PushAnswer,
    Upload,
    answer_amid_chunks,
    answer_push,
    encode_blob,
    fetch,
    read_fetch,
    read_opening,
    receive_blob,
    refuse_fetch,
    send_blob,
)
from fedactors.protocol.blob_wire import encode_opening, encode_reply
from fedactors.protocol.messages import PushGrant
from fedactors.protocol.weight_streams import WeightStreams
from fedactors.task import TrainReport
from fedactors.testing.conformance_transport import connected, ending
from fedactors.transport import Address, Stream
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.memory import MemoryTransport

CHUNK_BYTES = 100
LAYOUT = Layout.from_specs([("a", "uint8", (1000,)), ("b", "float32", (5,))])
CONTENT = np.random.default_rng(1).integers(0, 256, LAYOUT.nbytes, np.uint8)
CHUNKS = -(-LAYOUT.nbytes // CHUNK_BYTES)
REPORT = TrainReport(3)
TOKEN = b"token"

MEMORY = (MemoryTransport(), Address.parse("memory://transfers"))
BOTH = pytest.mark.parametrize(
    ("transport", "address"), [MEMORY, (GrpcTransport(), Address.parse("grpc://127.0.0.1:0"))], ids=["memory", "grpc"]
)


class Swallowed:
    """A stream of which so many frames arrive."""

    def __init__(self, stream: Stream, frames: int) -> None:
        self._stream = stream
        self._left = frames

    async def send(self, frame):
        if self._left:
            self._left -= 1
            await self._stream.send(frame)

    def __getattr__(self, name):
        return getattr(self._stream, name)


class Torn:
    """A stream that is cut after so many frames."""

    def __init__(self, stream: Stream, frames: int) -> None:
        self._stream = stream
        self._left = frames

    async def send(self, frame):
        self._spend()
        await self._stream.send(frame)

    async def receive(self):
        self._spend()
        return await self._stream.receive()

    def _spend(self):
        if self._left == 0:
            self._stream.cut("torn")
            raise StreamClosed("torn")
        self._left -= 1


class Controller:
    """Serves one version and takes one update; each transfer is cut after so many frames of it, as long as there are cuts."""

    def __init__(self, cuts):
        self.cuts = list(cuts)
        self.offsets = []
        self.chunks = 0
        self.parked = {}
        self.updates = []

    def torn(self, stream):
        return Torn(stream, self.cuts.pop(0) if self.cuts else 10_000)

    async def serve_fetch(self, stream):
        blob = encode_blob(3, LAYOUT, CONTENT, CHUNK_BYTES)
        request = await read_fetch(stream)
        self.offsets.append(request.offset)
        torn = self.torn(stream)
        await send_blob(torn, blob, layout_known=request.layout_digest == LAYOUT.digest, offset=request.offset)

    async def take_push(self, stream):
        opening = await read_opening(stream)
        out, received_bytes = self.parked.pop(opening.upload, (np.zeros(LAYOUT.nbytes, np.uint8), 0))
        receiver = BlobReceiver(LAYOUT, LAYOUT.nbytes, out, received_bytes)
        self.offsets.append(received_bytes)
        try:
            await receive_blob(self.torn(stream), opening, receiver)
        finally:
            self.chunks += -(-(receiver.received_bytes - received_bytes) // CHUNK_BYTES)
            self.parked[opening.upload] = out, receiver.received_bytes
        self.updates.append(out)
        await answer_push(stream, PushAnswer(True))

    async def accept(self, stream):
        await (self.take_push if stream.method == PUSH else self.serve_fetch)(stream)


@asynccontextmanager
async def facing(controller, place=MEMORY):
    async with connected(*place, controller.accept) as (channel, _):
        yield WeightStreams(channel)


async def until_done(attempt):
    """What the first attempt that is not cut returns."""
    while True:
        try:
            return await attempt()
        except StreamClosed:
            continue


cut_places = st.lists(st.integers(0, CHUNKS + 1), max_size=8)


@settings(deadline=None, max_examples=60)
@given(cut_places)
@example([0, 1, CHUNKS, CHUNKS + 1])
def test_a_download_arrives_whole_wherever_it_is_cut(cuts):
    async def scenario():
        controller, pool = Controller(cuts), BufferPool()
        async with facing(controller) as streams:
            download = Download(3, pool=pool)
            layout, buffer = await until_done(lambda: download.attempt(streams, TOKEN))
        assert layout == LAYOUT
        assert np.array_equal(buffer, CONTENT)
        assert controller.offsets == sorted(controller.offsets), "no attempt began before the one that was cut"
        assert all(offset % CHUNK_BYTES == 0 for offset in controller.offsets)
        assert pool.nbytes == 0, "the buffer is the caller's"

    asyncio.run(scenario())


@settings(deadline=None, max_examples=60)
@given(cut_places)
@example([0, 1, CHUNKS, CHUNKS + 1])
def test_an_upload_arrives_whole_wherever_it_is_cut_and_no_chunk_is_taken_twice(cuts):
    async def scenario():
        controller = Controller(cuts)
        async with facing(controller) as streams:
            upload = Upload("t", LAYOUT, CONTENT, REPORT, layout_known=True)
            answer = await until_done(lambda: upload.attempt(streams, TOKEN, chunk_bytes=CHUNK_BYTES))
        assert answer == PushAnswer(True)
        assert np.array_equal(controller.updates[0], CONTENT)
        assert controller.chunks == CHUNKS
        assert upload.acknowledged_bytes == controller.offsets[-1]

    asyncio.run(scenario())


@BOTH
async def test_a_cut_download_asks_for_the_rest(transport, address):
    controller = Controller([8])
    async with facing(controller, (transport, address)) as streams:
        download = Download(3)
        with pytest.raises(StreamClosed):
            await download.attempt(streams, TOKEN)
        reached_bytes = download.received_bytes
        assert reached_bytes > 0
        _, buffer = await download.attempt(streams, TOKEN)
    assert controller.offsets == [0, reached_bytes]
    assert np.array_equal(buffer, CONTENT)


async def test_a_download_whose_stream_was_swallowed_goes_on_over_another_one(monkeypatch):
    monkeypatch.setattr("fedactors.protocol.transfers.DOWNLOAD_PATIENCE_S", 0.1)
    controller, frames = Controller([]), [0, 4]

    async def swallow(stream):
        """As something on the way that takes what is sent after so many frames, and gives no word of it."""
        await controller.serve_fetch(Swallowed(stream, frames.pop(0)) if frames else stream)
        await ending(stream)

    controller.accept = swallow
    async with facing(controller) as streams:
        download = Download(3)
        with pytest.raises(StreamClosed, match=r"a download was not begun within 0.1 s"):
            await download.attempt(streams, TOKEN)
        with pytest.raises(StreamClosed, match=r"a download stands still at byte 300"):
            await download.attempt(streams, TOKEN)
        _, buffer = await download.attempt(streams, TOKEN)
    assert controller.offsets == [0, 0, 300]
    assert np.array_equal(buffer, CONTENT)


async def test_another_session_begins_a_download_anew():
    controller, pool = Controller([8]), BufferPool()
    async with facing(controller) as streams:
        download = Download(3, pool=pool)
        with pytest.raises(StreamClosed):
            await download.attempt(streams, TOKEN)
        await download.attempt(streams, b"another token")
    assert controller.offsets == [0, 0]


async def test_a_download_that_is_given_up_returns_its_buffer_once():
    controller, pool = Controller([8]), BufferPool()
    async with facing(controller) as streams:
        download = Download(3, pool=pool)
        with pytest.raises(StreamClosed):
            await download.attempt(streams, TOKEN)
        download.give_up()
        download.give_up()
    assert (pool.nbytes, download.received_bytes) == (LAYOUT.nbytes, 0)


async def test_two_uploads_for_one_task_have_two_names():
    controller = Controller([8])
    other = CONTENT[::-1].copy()
    async with facing(controller) as streams:
        with pytest.raises(StreamClosed):
            await Upload("t", LAYOUT, CONTENT, REPORT, layout_known=True).attempt(streams, TOKEN, chunk_bytes=CHUNK_BYTES)
        await Upload("t", LAYOUT, other, REPORT, layout_known=True).attempt(streams, TOKEN, chunk_bytes=CHUNK_BYTES)
    assert controller.offsets == [0, 0]
    assert np.array_equal(controller.updates[0], other)


@BOTH
async def test_a_refused_fetch_says_why_and_its_stream_goes_on(transport, address):
    async def accept(stream):
        while (await read_fetch(stream)).version != 3:
            await refuse_fetch(stream, "version 9 was evicted")
        await send_blob(stream, encode_blob(3, LAYOUT, CONTENT), layout_known=False)

    async with connected(transport, address, accept) as (channel, _):
        with pytest.raises(FetchRefused, match="version 9 was evicted"):
            await fetch(WeightStreams(channel), TOKEN, 9)
        _, buffer = await fetch(WeightStreams(channel), TOKEN, 3)
    assert np.array_equal(buffer, CONTENT)


async def test_a_grant_beyond_the_end_is_refused():
    async def accept(stream):
        await read_opening(stream)
        await stream.send(encode_reply(PushGrant(LAYOUT.nbytes + 1)))
        await ending(stream)

    async with connected(*MEMORY, accept) as (channel, _):
        with pytest.raises(RemoteProtocolError, match=r"byte 1,0\d\d was asked for"):
            await Upload("t", LAYOUT, CONTENT, REPORT, layout_known=True).attempt(WeightStreams(channel), TOKEN)


@BOTH
@pytest.mark.parametrize("chunk_bytes", [CHUNK_BYTES, LAYOUT.nbytes], ids=["amid many chunks", "the only chunk is on its way"])
async def test_an_answer_amid_the_chunks_ends_the_upload_and_the_next_one_is_taken(transport, address, chunk_bytes):
    taken = []

    async def accept(stream):
        opening = await read_opening(stream)
        receiver = BlobReceiver(LAYOUT, LAYOUT.nbytes, np.zeros(LAYOUT.nbytes, np.uint8))
        if opening.task == "late":
            await stream.send(encode_reply(PushGrant()))
            await answer_amid_chunks(stream, PushAnswer(False, "late", "too late"), receiver)
            assert not receiver.out.any()
            opening = await read_opening(stream)
        await receive_blob(stream, opening, receiver)
        taken.append(opening.task)
        await answer_push(stream, PushAnswer(True))

    async with connected(transport, address, accept) as (channel, _):
        streams = WeightStreams(channel)
        for task, accepted in (("late", False), ("good", True)):
            upload = Upload(task, LAYOUT, CONTENT, REPORT, layout_known=True)
            answer = await until_done(lambda upload=upload: upload.attempt(streams, TOKEN, chunk_bytes=chunk_bytes))
            assert answer.accepted == accepted
    assert taken == ["good"]


async def test_a_learner_that_does_not_hear_its_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr("fedactors.protocol.blobs.DRAIN_S", 0.05)

    async def accept(stream):
        await read_opening(stream)
        receiver = BlobReceiver(LAYOUT, LAYOUT.nbytes, np.zeros(LAYOUT.nbytes, np.uint8))
        await stream.send(encode_reply(PushGrant()))
        with pytest.raises(StreamClosed, match=r"went on for 0\.05 s after it was answered"):
            await answer_amid_chunks(stream, PushAnswer(False, "late", ""), receiver)

    async with connected(*MEMORY, accept) as (channel, _):
        stream = await channel.open(PUSH, timeout_s=1)
        await stream.send(encode_opening(Upload("t", LAYOUT, CONTENT, REPORT, layout_known=True)._opening(TOKEN, 0)))
        await ending(stream)
