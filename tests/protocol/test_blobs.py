"""Weights both ways, whole or not at all."""

import asyncio
import tracemalloc

import numpy as np
import pytest

from fedactors.errors import RemoteProtocolError, StreamClosed
from fedactors.model import Layout
from fedactors.protocol import (
    BlobReceiver,
    BufferPool,
    EncodedBlob,
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
from fedactors.protocol.blob_wire import decode_reply, encode_fetch, encode_header, encode_opening, encode_reply
from fedactors.protocol.chunks import encode_chunk
from fedactors.protocol.messages import FETCH, PUSH, BlobHeader, FetchRequest, PushGrant, PushOpening
from fedactors.protocol.weight_streams import WeightStreams
from fedactors.task import TrainReport
from fedactors.testing.conformance_transport import connected, ending
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.memory import MemoryTransport

MIB = 1024 * 1024
BOTH = pytest.mark.parametrize(
    ("transport", "address"),
    [(MemoryTransport(), Address.parse("memory://blobs")), (GrpcTransport(), Address.parse("grpc://127.0.0.1:0"))],
    ids=["memory", "grpc"],
)
MEMORY = (MemoryTransport(), Address.parse("memory://blobs"))
LAYOUT = Layout.from_specs([("a", "float32", (333, 77)), ("b", "int8", (5,)), ("c", "bfloat16", ())])
OTHER = Layout.from_specs([("a", "float32", (333, 78))])
REPORT = TrainReport(12, metrics={"loss": 0.5})


def content(layout=LAYOUT, seed=0):
    return np.random.default_rng(seed).integers(0, 256, layout.nbytes, np.uint8)


def serve_fetch(blob):
    async def accept(stream):
        request = await read_fetch(stream)
        await send_blob(stream, blob, layout_known=request.layout_digest == blob.layout.digest, offset=request.offset)

    return accept


def serve_push(openings, buffers):
    async def accept(stream):
        openings.append(await read_opening(stream))
        out = np.empty(LAYOUT.nbytes, np.uint8)
        await receive_blob(stream, openings[-1], BlobReceiver(LAYOUT, LAYOUT.nbytes, out))
        buffers.append(out)
        await answer_push(stream, PushAnswer(True))

    return accept


@BOTH
@pytest.mark.parametrize("known", [None, LAYOUT, OTHER], ids=["layout unknown", "layout known", "another layout known"])
@pytest.mark.parametrize("chunk_bytes", [1000, LAYOUT.nbytes, MIB])
async def test_a_version_arrives_as_it_is(transport, address, known, chunk_bytes):
    blob = encode_blob(3, LAYOUT, content(), chunk_bytes)
    async with connected(transport, address, serve_fetch(blob)) as (channel, _):
        layout, buffer = await fetch(WeightStreams(channel), b"token", 3, known=known)
    assert layout == LAYOUT
    assert np.array_equal(buffer, content())


@BOTH
@pytest.mark.parametrize("layout_known", [True, False])
async def test_an_update_arrives_as_it_is(transport, address, layout_known):
    openings, buffers = [], []
    async with connected(transport, address, serve_push(openings, buffers)) as (channel, _):
        answer = await push(
            WeightStreams(channel), b"token", "t1", LAYOUT, content(), REPORT, layout_known=layout_known, chunk_bytes=5000
        )
    assert answer == PushAnswer(True)
    assert np.array_equal(buffers[0], content())
    assert (openings[0].token, openings[0].task, openings[0].report) == (b"token", "t1", REPORT)
    assert openings[0].specs == (None if layout_known else tuple(LAYOUT.specs))
    assert (openings[0].layout_digest, openings[0].total_bytes) == (LAYOUT.digest, LAYOUT.nbytes)


async def test_a_download_can_begin_where_another_one_was_lost():
    blob = encode_blob(3, LAYOUT, content(), 1000)
    sent = []

    class Recorder:
        async def send(self, frame):
            sent.append(frame)

    await send_blob(Recorder(), blob, layout_known=True, offset=5000)
    assert sent[1:] == [blob.frame(index) for index in range(5, len(blob))]
    for offset in (5001, 1000 * (len(blob) + 1)):
        with pytest.raises(RemoteProtocolError, match="chunks begin at multiples of 1,000"):
            await send_blob(Recorder(), blob, layout_known=True, offset=offset)


def test_every_stream_is_given_the_same_bytes():
    blob = EncodedBlob(1, LAYOUT, content(), 1000)
    assert [blob.frame(index) is blob.frame(index) for index in range(len(blob))] == [True] * len(blob)


def test_of_a_large_model_only_some_frames_are_kept():
    blob = EncodedBlob(3, LAYOUT, content(), chunk_bytes=1000, kept_bytes_max=5000)
    whole = EncodedBlob(3, LAYOUT, content(), chunk_bytes=1000)
    for _ in range(2):
        assert list(blob.frames(layout_known=False)) == list(whole.frames(layout_known=False))
        assert blob.kept == 5
    assert whole.kept == len(whole)


@BOTH
async def test_a_refusal_at_the_opening_costs_no_upload(transport, address):
    async def accept(stream):
        await read_opening(stream)
        await answer_push(stream, PushAnswer(False, "late", "the round is over"))

    async with connected(transport, address, accept) as (channel, _):
        answer = await push(WeightStreams(channel), b"", "t", LAYOUT, content(), REPORT, layout_known=True)
    assert answer == PushAnswer(False, "late", "the round is over")


@BOTH
async def test_a_refusal_amid_the_chunks_stops_them(transport, address):
    layout = Layout.from_specs([("a", "uint8", (64 * MIB,))])
    received = []

    async def accept(stream):
        await read_opening(stream)
        receiver = BlobReceiver(layout, layout.nbytes, np.empty(layout.nbytes, np.uint8))
        await stream.send(encode_reply(PushGrant()))
        for _ in range(3):
            receiver.feed(await stream.receive())
        received.append(receiver.received_bytes)
        await answer_push(stream, PushAnswer(False, "late", "the round is over"))
        await ending(stream)

    buffer = np.zeros(layout.nbytes, np.uint8)
    async with connected(transport, address, accept) as (channel, _):
        answer = await push(WeightStreams(channel), b"", "t", layout, buffer, REPORT, layout_known=True)
    assert answer == PushAnswer(False, "late", "the round is over")
    assert received == [3 * MIB]


@BOTH
async def test_who_waits_for_a_grant_sends_nothing(transport, address):
    """So that waiting learners hold no memory at the controller."""
    pending = asyncio.Event()

    async def accept(stream):
        opening = await read_opening(stream)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.receive(), 0.1)
        pending.set()
        await receive_blob(stream, opening, BlobReceiver(LAYOUT, LAYOUT.nbytes, np.empty(LAYOUT.nbytes, np.uint8)))
        await answer_push(stream, PushAnswer(True))

    async with connected(transport, address, accept) as (channel, _):
        assert (await push(WeightStreams(channel), b"", "t", LAYOUT, content(), REPORT, layout_known=True)).accepted
    assert pending.is_set()


@BOTH
async def test_a_controller_that_vanishes_amid_a_push_is_a_closed_stream(transport, address):
    async def accept(stream):
        await read_opening(stream)
        await stream.send(encode_reply(PushGrant()))
        await stream.receive()
        stream.cut("a storm")

    async with connected(transport, address, accept) as (channel, _):
        with pytest.raises(StreamClosed):
            await push(WeightStreams(channel), b"", "t", LAYOUT, content(), REPORT, layout_known=True, chunk_bytes=100)


@BOTH
async def test_a_controller_without_the_version_is_a_closed_stream_with_its_reason(transport, address):
    async def accept(stream):
        await read_fetch(stream)
        raise RemoteProtocolError("version 9 was evicted")

    async with connected(transport, address, accept) as (channel, _):
        with pytest.raises(StreamClosed, match="version 9 was evicted"):
            await fetch(WeightStreams(channel), b"", 9)


CHUNK = encode_chunk(0, memoryview(bytes(1000)))
DAMAGED = CHUNK[:-1] + b"\x01"
DATA = content()
BAD_BLOBS = {
    "the checksum is wrong": (LAYOUT, [DAMAGED], "its checksum is wrong"),
    "a chunk is missing": (LAYOUT, [CHUNK, encode_chunk(2000, DATA[2000:3000].data)], "came where byte 1,000 was due"),
    "a chunk comes twice": (LAYOUT, [CHUNK, CHUNK], "came where byte 1,000 was due"),
    "a chunk overruns": (LAYOUT, [encode_chunk(0, memoryview(bytes(LAYOUT.nbytes + 1)))], "a chunk of .* bytes at byte 0 of"),
    "a chunk is empty": (LAYOUT, [encode_chunk(0, memoryview(b""))], "a chunk of 0 bytes"),
    "a frame is none": (LAYOUT, [b"\xff"], "is not a chunk"),
}


@pytest.mark.parametrize("name", BAD_BLOBS)
async def test_a_damaged_blob_is_refused_and_its_buffer_goes_back(name):
    layout, frames, complaint = BAD_BLOBS[name]
    pool = BufferPool()

    async def accept(stream):
        await read_fetch(stream)
        await stream.send(encode_header(BlobHeader(layout.digest, tuple(layout.specs), layout.nbytes, 1)))
        for frame in frames:
            await stream.send(frame)
        await ending(stream)

    async with connected(*MEMORY, accept) as (channel, _):
        with pytest.raises(RemoteProtocolError, match=complaint):
            await fetch(WeightStreams(channel), b"", 1, pool=pool)
    assert pool.nbytes == LAYOUT.nbytes


HUGE = Layout.from_specs([("a", "float64", (2**45,))])
BAD_HEADERS = {
    "sizes differ": (BlobHeader(LAYOUT.digest, tuple(LAYOUT.specs), LAYOUT.nbytes + 64), "bytes are announced"),
    "too large": (BlobHeader(HUGE.digest, tuple(HUGE.specs), HUGE.nbytes), "at most 68,719,476,736 are taken"),
    "unknown layout": (BlobHeader(LAYOUT.digest, None, LAYOUT.nbytes), "a layout that is not known here"),
    "wrong digest": (BlobHeader(OTHER.digest, tuple(LAYOUT.specs), LAYOUT.nbytes), "a layout that is not known here"),
    "no layout": (BlobHeader(b"", (("", "float32", ()),), 64), "announces no valid layout: tensor name"),
    "unknown dtype": (BlobHeader(b"", (("a", "float8", ()),), 64), "announces no valid layout: .*float8"),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
async def test_a_bad_header_is_refused_before_memory_is_taken(name):
    header, complaint = BAD_HEADERS[name]

    class Miser(BufferPool):
        def take(self, nbytes):
            raise AssertionError("memory was taken")

    async def accept(stream):
        await read_fetch(stream)
        await stream.send(encode_header(header))
        await ending(stream)

    async with connected(*MEMORY, accept) as (channel, _):
        with pytest.raises(RemoteProtocolError, match=complaint):
            await fetch(WeightStreams(channel), b"", 1, pool=Miser())


def test_a_receiver_takes_no_other_size_than_the_layouts():
    with pytest.raises(RemoteProtocolError, match="64 bytes are announced, the layout takes"):
        BlobReceiver(LAYOUT, 64, np.empty(LAYOUT.nbytes, np.uint8))


async def test_a_fetch_that_is_cancelled_gives_its_buffer_back():
    pool = BufferPool()
    blob = encode_blob(1, LAYOUT, content(), 1000)

    async def accept(stream):
        await read_fetch(stream)
        await stream.send(blob.header(layout_known=False))
        await stream.send(blob.frame(0))
        await asyncio.sleep(0.5)

    async with connected(*MEMORY, accept) as (channel, _):
        fetching = asyncio.ensure_future(fetch(WeightStreams(channel), b"", 1, pool=pool))
        await asyncio.sleep(0.05)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
    assert pool.nbytes == LAYOUT.nbytes


async def test_many_learners_download_at_once():
    layout = Layout.from_specs([("a", "uint8", (8 * MIB,))])
    blob = encode_blob(1, layout, content(layout))
    async with connected(GrpcTransport(), Address.parse("grpc://127.0.0.1:0"), serve_fetch(blob)) as (channel, listener):
        other = GrpcTransport().connect(listener.address)
        stalled = await other.open(FETCH, timeout_s=5)
        await stalled.send(encode_fetch(FetchRequest(b"", 1)))
        pool = BufferPool()

        async def download():
            _, buffer = await fetch(WeightStreams(channel), b"", 1, pool=pool)
            assert np.array_equal(buffer[::4097], content(layout)[::4097])
            pool.give(buffer)

        async with asyncio.TaskGroup() as group:
            for _ in range(12):
                group.create_task(download())
        await other.close()
    assert pool.nbytes <= 4 * layout.nbytes


async def test_a_large_model_passes_both_ways_in_bounded_memory():
    """Python's part of it: beside the two buffers that are there anyway, a few chunks."""
    layout = Layout.from_specs([("a", "uint8", (64 * MIB,))])
    source, out = np.ones(layout.nbytes, np.uint8), np.zeros(layout.nbytes, np.uint8)

    async def accept(stream):
        await receive_blob(stream, await read_opening(stream), BlobReceiver(layout, layout.nbytes, out))
        await answer_push(stream, PushAnswer(True))

    async with connected(GrpcTransport(), Address.parse("grpc://127.0.0.1:0"), accept) as (channel, _):
        tracemalloc.start()
        try:
            await push(WeightStreams(channel), b"", "t", layout, source, REPORT, layout_known=True)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes <= 12 * MIB
    assert np.array_equal(source, out)


async def test_an_upload_that_stands_still_ends_and_one_that_goes_on_does_not(monkeypatch):
    monkeypatch.setattr("fedactors.protocol.blobs.UPLOAD_PATIENCE_S", 0.2)
    said = []

    async def accept(stream):
        out = np.empty(LAYOUT.nbytes, np.uint8)
        receiver = BlobReceiver(LAYOUT, LAYOUT.nbytes, out)
        with pytest.raises(RemoteProtocolError, match="an upload stands still at byte 8,000") as caught:
            await receive_blob(stream, await read_opening(stream), receiver)
        said.append(str(caught.value))

    async with connected(*MEMORY, accept) as (channel, _):
        stream = await channel.open(PUSH, timeout_s=5)
        await stream.send(encode_opening(PushOpening(b"", "t", LAYOUT.digest, None, LAYOUT.nbytes, REPORT)))
        assert decode_reply(await stream.receive()) == PushGrant()
        for start in range(0, 8000, 1000):  # 0.125 s more for each
            await asyncio.sleep(0.05)
            await stream.send(encode_chunk(start, content()[start : start + 1000].data))
        with pytest.raises(StreamClosed):
            await stream.receive()
    assert len(said) == 1
