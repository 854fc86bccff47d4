"""Weights on their way: a header, then the buffer in chunks, each with its place and its checksum.

    learner                                     controller
    await fetch(lanes, token, version)   ─────▶ request = await read_fetch(stream)
                                         ◀═════ await send_blob(stream, blob, layout_known=...)

    await push(lanes, token, ...)        ─────▶ opening = await read_opening(stream)
                                         ◀───── await receive_blob(stream, opening, layout, out)    grants, then receives
                                         ═════▶
                                         ◀───── await answer_push(stream, PushAnswer(...))  may come instead of the grant, too

A pushing learner sends no weights before the controller has granted it; those who wait hold no memory there. Weights that are
small enough (Welcome.eager_bytes) need no grant: they travel with the opening. A stream serves one transfer after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from fedactors.errors import ModelError, RemoteProtocolError, StreamClosed
from fedactors.model import Buffer, Layout, Version
from fedactors.protocol.buffers import BufferPool
from fedactors.protocol.chunks import CHUNK_BYTES, Frame, decode_chunk, encode_chunk, split_first
from fedactors.protocol.gate import GATE
from fedactors.protocol.lanes import Lanes
from fedactors.protocol.messages import FETCH, PUSH, BlobHeader, FetchRequest, PushAnswer, PushGrant, PushOpening
from fedactors.protocol.wire import (
    decode_fetch,
    decode_header,
    decode_opening,
    decode_reply,
    encode_fetch,
    encode_header,
    encode_opening,
    encode_reply,
)
from fedactors.task import TaskId, TrainReport
from fedactors.transport import Stream

MODEL_BYTES_MAX = 64 * 1024**3
"""No larger model is received unless the caller says so."""


class EncodedBlob:
    """A version of the global model as frames. They are made when first asked for, once, and shared by every stream.

    Attributes:
        version: the model's.
        layout: the model's.
        chunk_bytes: of weights in each frame but the last.
    """

    def __init__(self, version: Version, layout: Layout, buffer: Buffer, chunk_bytes: int = CHUNK_BYTES) -> None:
        assert buffer.nbytes == layout.nbytes
        assert chunk_bytes > 0
        self.version = version
        self.layout = layout
        self.chunk_bytes = chunk_bytes
        self._data = buffer.data
        self._frames: list[bytes | None] = [None] * -(-layout.nbytes // chunk_bytes)
        self._opening: bytes | None = None

    def __len__(self) -> int:
        """Number of chunks."""
        return len(self._frames)

    def frames(self, *, layout_known: bool, first: int = 0) -> Iterator[bytes]:
        """The header and the chunks from chunk `first` on, for a peer that knows the layout or not."""
        if layout_known and first == 0:
            yield self._opened()
        else:
            yield self.header(layout_known=layout_known)
        for index in range(first + (layout_known and first == 0), len(self)):
            yield self.frame(index)

    def _opened(self) -> bytes:
        """The header and the first chunk in one frame: for a small model, that is all."""
        if self._opening is None:
            self._opening = self.header(layout_known=True) + self.frame(0)
        return self._opening

    def header(self, *, layout_known: bool) -> bytes:
        """The header alone, without the layout for a peer that knows it."""
        specs = None if layout_known else tuple(self.layout.specs)
        return encode_header(BlobHeader(self.layout.digest, specs, self.layout.nbytes, self.version))

    def frame(self, index: int) -> bytes:
        """The frame of chunk `index`."""
        frame = self._frames[index]
        if frame is None:
            offset = index * self.chunk_bytes
            frame = self._frames[index] = encode_chunk(offset, self._data[offset : offset + self.chunk_bytes])
        return frame


def encode_blob(version: Version, layout: Layout, buffer: Buffer, chunk_bytes: int = CHUNK_BYTES) -> EncodedBlob:
    """A model as frames; the buffer must not change any more. Costs nothing now and one copy of the model in the end."""
    return EncodedBlob(version, layout, buffer, chunk_bytes)


class BlobReceiver:
    """Puts chunks into a buffer, in order, and checks each of them.

    Attributes:
        received_bytes: so far; the offset that the next chunk must have.
        layout: whose buffer it is.
    """

    def __init__(self, layout: Layout, total_bytes: int, out: Buffer) -> None:
        if total_bytes != layout.nbytes:
            raise RemoteProtocolError(f"{total_bytes:,} bytes are announced, the layout takes {layout.nbytes:,}")
        assert out.nbytes == layout.nbytes
        assert out.flags.writeable
        self.layout = layout
        self.received_bytes = 0
        self._out = out.data

    @property
    def is_complete(self) -> bool:
        """Every byte is there."""
        return self.received_bytes == self.layout.nbytes

    def feed(self, frame: Frame) -> None:
        """Take one chunk.

        Raises:
            RemoteProtocolError: it is out of place, too long, empty or damaged; the buffer's content is then undefined.
        """
        offset, data = decode_chunk(frame)
        if offset != self.received_bytes:
            raise RemoteProtocolError(f"a chunk for byte {offset:,} came where byte {self.received_bytes:,} was due")
        end = offset + len(data)
        if not data or end > self.layout.nbytes:
            raise RemoteProtocolError(f"a chunk of {len(data):,} bytes at byte {offset:,} of {self.layout.nbytes:,}")
        self._out[offset:end] = data
        self.received_bytes = end


async def send_blob(stream: Stream, blob: EncodedBlob, *, layout_known: bool, offset: int = 0) -> int:
    """Send a header and the chunks from byte `offset` on; the number of bytes of all frames.

    Raises:
        RemoteProtocolError: `offset`, which the peer asked for, is not where a chunk begins.
        StreamClosed: the peer is gone.
    """
    first, remainder = divmod(offset, blob.chunk_bytes)
    if remainder or first > len(blob):
        raise RemoteProtocolError(f"byte {offset:,} was asked for; chunks begin at multiples of {blob.chunk_bytes:,}")
    sent_bytes = 0
    for frame in blob.frames(layout_known=layout_known, first=first):
        await GATE.send(stream, frame)
        sent_bytes += len(frame)
    return sent_bytes


async def _receive_chunks(stream: Stream, receiver: BlobReceiver) -> int:
    frames_bytes = 0
    while not receiver.is_complete:
        frame = await stream.receive()
        receiver.feed(frame)
        frames_bytes += len(frame)
    return frames_bytes


# ------------------------------------------------------------------------------------------------------------------ the learner


async def fetch(
    lanes: Lanes,
    token: bytes,
    version: Version,
    *,
    known: Layout | None = None,
    pool: BufferPool | None = None,
    model_bytes_max: int = MODEL_BYTES_MAX,
) -> tuple[Layout, Buffer]:
    """Download a version of the global model.

    The buffer is the caller's, who may give it to `pool` when it is done with; cancelled or failed, it goes back by itself.

    Args:
        lanes: to the controller.
        token: of the Welcome.
        version: which.
        known: a layout that need not be sent again.
        pool: where buffers come from; None: fresh memory.
        model_bytes_max: a larger model is refused before memory is taken.

    Raises:
        RemoteProtocolError: what came is not what was announced, or is too large.
        StreamClosed: the controller is gone, or has no such version.
        Unreachable: the stream could not be opened.
    """
    request = encode_fetch(FetchRequest(token, version, b"" if known is None else known.digest))
    async with lanes.stream(FETCH) as stream:
        _, layout, buffer = await download(stream, request, known, pool, model_bytes_max)
    return layout, buffer


async def download(
    stream: Stream, request: bytes, known: Layout | None, pool: BufferPool | None, model_bytes_max: int
) -> tuple[Version, Layout, Buffer]:
    """Send a request and receive the blob that answers it. As `fetch`."""
    pool = pool or BufferPool()
    buffer: Buffer | None = None
    try:
        await stream.send(request)
        head, chunk = split_first(await stream.receive())
        header = decode_header(head)
        layout = announced_layout(header, known, model_bytes_max)
        buffer = pool.take(layout.nbytes)
        receiver = BlobReceiver(layout, header.total_bytes, buffer)
        if chunk:
            receiver.feed(chunk)
        await _receive_chunks(stream, receiver)
    except BaseException:
        if buffer is not None:
            pool.give(buffer)
        raise
    return header.version, layout, buffer


def announced_layout(header: BlobHeader, known: Layout | None, model_bytes_max: int = MODEL_BYTES_MAX) -> Layout:
    """The layout of a blob that is about to come; nothing of its size has been allocated yet.

    Raises:
        RemoteProtocolError: it is unknown, malformed, too large, or does not fit its own digest and size.
    """
    try:
        layout = known if header.specs is None else Layout.from_specs(header.specs)
    except ModelError as error:
        raise RemoteProtocolError(f"a blob's header announces no valid layout: {error}") from error
    if layout is None or layout.digest != header.layout_digest:
        raise RemoteProtocolError("a blob's header names a layout that is not known here")
    if layout.nbytes > model_bytes_max or layout.nbytes != header.total_bytes:
        sizes = f"{header.total_bytes:,} bytes are announced, the layout takes {layout.nbytes:,}"
        raise RemoteProtocolError(f"{sizes}, and at most {model_bytes_max:,} are taken")
    return layout


async def push(
    lanes: Lanes,
    token: bytes,
    task: TaskId,
    layout: Layout,
    buffer: Buffer,
    report: TrainReport,
    *,
    layout_known: bool,
    chunk_bytes: int = CHUNK_BYTES,
    eager_bytes: int = 0,
) -> PushAnswer:
    """Deliver weights and wait for the answer. The buffer must not change meanwhile. Safe to repeat: a task is answered once.

    Args:
        lanes: to the controller.
        token: of the Welcome.
        task: which the weights answer.
        layout: of the weights.
        buffer: the weights.
        report: what the learner says of its training.
        layout_known: the layout is the global model's; it is then not sent.
        chunk_bytes: of weights in one frame, as the Welcome says.
        eager_bytes: a buffer of at most so many bytes travels with the opening, as the Welcome says; at most chunk_bytes.

    Raises:
        RemoteProtocolError: the controller's answer is none.
        StreamClosed: the controller is gone; the weights may have been taken or not.
        Unreachable: the stream could not be opened.
    """
    specs = None if layout_known else tuple(layout.specs)
    chunk = encode_chunk(0, buffer.data) if buffer.nbytes <= eager_bytes else b""
    opening = PushOpening(token, task, layout.digest, specs, layout.nbytes, report, memoryview(chunk))
    async with lanes.stream(PUSH) as stream:
        return await upload(stream, opening, buffer, chunk_bytes)


async def upload(stream: Stream, opening: PushOpening, buffer: Buffer, chunk_bytes: int) -> PushAnswer:
    """Send an opening, wait for the grant, send the chunks, receive the answer. As `push`."""
    await GATE.send(stream, encode_opening(opening))
    reply = decode_reply(await stream.receive())
    return await _granted(stream, buffer, chunk_bytes) if isinstance(reply, PushGrant) else reply


async def _granted(stream: Stream, buffer: Buffer, chunk_bytes: int) -> PushAnswer:
    answer = asyncio.ensure_future(stream.receive())
    try:
        with suppress(StreamClosed):  # why the controller ended early is in its answer
            await _send_chunks(stream, buffer, chunk_bytes, answer)
        reply = decode_reply(await answer)
    finally:
        answer.cancel()
    if isinstance(reply, PushGrant):
        raise RemoteProtocolError("the controller granted a push twice")
    return reply


async def _send_chunks(stream: Stream, buffer: Buffer, chunk_bytes: int, answer: asyncio.Future[bytes]) -> None:
    """Each chunk is made when its turn has come; with an answer before the end, the stream has done its duty."""
    data = buffer.data
    for offset in range(0, len(data), chunk_bytes):
        if answer.done():
            stream.cut("answered amid the chunks")
            return
        await GATE.send(stream, encode_chunk(offset, data[offset : offset + chunk_bytes]))


# --------------------------------------------------------------------------------------------------------------- the controller


async def read_fetch(stream: Stream) -> FetchRequest:
    """What a learner wants to have; RemoteProtocolError if it is not said."""
    return decode_fetch(await stream.receive())


async def read_opening(stream: Stream) -> PushOpening:
    """What a learner wants to deliver; RemoteProtocolError if it is not said."""
    return decode_opening(await stream.receive())


async def receive_blob(stream: Stream, opening: PushOpening, layout: Layout, out: Buffer) -> int:
    """Grant a push, unless its weights came with the opening, and receive them into `out`; the number of bytes of all frames.

    Call it once there is room: until then the learner waits. Failed or cancelled, the content of `out` is undefined.

    Raises:
        RemoteProtocolError: a chunk is out of place or damaged.
        StreamClosed: the learner is gone.
    """
    receiver = BlobReceiver(layout, layout.nbytes, out)
    if opening.chunk:
        receiver.feed(opening.chunk)
    else:
        await stream.send(encode_reply(PushGrant()))
    return len(opening.chunk) + await _receive_chunks(stream, receiver)


async def answer_push(stream: Stream, answer: PushAnswer) -> None:
    """Say what becomes of a push. Amid the chunks, it makes the learner end the stream, which has to be read until then.

    Raises:
        StreamClosed: the learner is gone.
    """
    await stream.send(encode_reply(answer))
