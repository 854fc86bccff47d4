"""Weights on their way: a header, then the buffer in chunks, each with its place and its checksum.

    learner                                     controller
    await fetch(lanes, token, version)   ─────▶ request = await read_fetch(stream)
                                         ◀═════ await send_blob(stream, blob, layout_known=...)     or refuse_fetch(stream, why)

    await push(lanes, token, ...)        ─────▶ opening = await read_opening(stream)
                                         ◀───── await receive_blob(stream, opening, receiver)       grants, then receives
                                         ═════▶
                                         ◀───── await answer_push(stream, PushAnswer(...))  may come instead of the grant, too

A pushing learner sends no weights before the controller has granted it; those who wait hold no memory there. Weights that are
small enough (Welcome.eager_bytes) need no grant: they travel with the opening. A stream serves one transfer after another.

A transfer that was cut is begun again and goes on where it was: the request, and the grant, say from which byte. This is what
both ends share, and the controller's side; the learner's is `transfers`.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

from typing_extensions import override

from fedactors.errors import ModelError, RemoteProtocolError, StreamClosed
from fedactors.model import Buffer, Layout, Version
from fedactors.protocol.blob_wire import decode_fetch, decode_opening, encode_header, encode_refusal, encode_reply
from fedactors.protocol.chunks import CHUNK_BYTES, decode_chunk, encode_chunk
from fedactors.protocol.gate import GATE
from fedactors.protocol.messages import BlobHeader, FetchRefusal, FetchRequest, PushAnswer, PushGrant, PushOpening
from fedactors.transport import Frame, Stream

MODEL_BYTES_MAX = 64 * 1024**3
"""No larger model is received unless the caller says so."""
FRAMES_KEPT_BYTES_MAX = 256 * 1024 * 1024
"""Of one version, as frames: a small model is encoded once, streams that run side by side share the frames of a large one."""
UPLOAD_PATIENCE_S = 120.0
UPLOAD_BYTES_PER_S_MIN = 8_000
"""An upload that falls back by more than UPLOAD_PATIENCE_S behind this pace is ended: it holds memory that others wait for."""
DRAIN_S = 5.0
"""How long a controller that has answered amid the chunks reads on, until the learner has noticed."""


class EncodedBlob:
    """A version of the global model as frames. They are made when first asked for, shared by every stream, and kept: all of
    them up to `kept_bytes_max` of weights, the newest of a larger model.

    Attributes:
        version: the model's.
        layout: the model's.
        chunk_bytes: of weights in each frame but the last.
    """

    def __init__(
        self,
        version: Version,
        layout: Layout,
        buffer: Buffer,
        chunk_bytes: int = CHUNK_BYTES,
        kept_bytes_max: int = FRAMES_KEPT_BYTES_MAX,
    ) -> None:
        assert buffer.nbytes == layout.nbytes
        assert chunk_bytes > 0
        self.version = version
        self.layout = layout
        self.chunk_bytes = chunk_bytes
        self._data = buffer.data
        self._frames: dict[int, bytes] = {}  # by index, the last one made at the end
        self._frames_kept_max = max(1, kept_bytes_max // chunk_bytes)
        self._opening: bytes | None = None

    def __len__(self) -> int:
        """Number of chunks."""
        return math.ceil(self.layout.nbytes / self.chunk_bytes)

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
        frame = self._frames.get(index)
        if frame is None:
            offset = index * self.chunk_bytes
            frame = self._frames[index] = encode_chunk(offset, self._data[offset : offset + self.chunk_bytes])
            if len(self._frames) > self._frames_kept_max:
                del self._frames[next(iter(self._frames))]
        return frame

    def move(self, buffer: Buffer) -> None:
        """Make frames from another buffer that holds the same; the first one is let go of."""
        assert buffer.nbytes == self.layout.nbytes
        self._data = buffer.data

    @property
    def kept(self) -> int:
        """Number of chunks that are kept as frames."""
        return len(self._frames)


def encode_blob(version: Version, layout: Layout, buffer: Buffer, chunk_bytes: int = CHUNK_BYTES) -> EncodedBlob:
    """A model as frames; the buffer must not change any more. Costs nothing now, and no more than FRAMES_KEPT_BYTES_MAX later."""
    return EncodedBlob(version, layout, buffer, chunk_bytes)


class Receiver(ABC):
    """Takes chunks, in order, and checks each of them.

    Attributes:
        received_bytes: so far, in order; the offset that the next chunk must have.
        frames_bytes: of the frames that this receiver has taken.
        layout: of what is received.
    """

    def __init__(self, layout: Layout, total_bytes: int, received_bytes: int = 0) -> None:
        if total_bytes != layout.nbytes:
            raise RemoteProtocolError(f"{total_bytes:,} bytes are announced, the layout takes {layout.nbytes:,}")
        self.layout = layout
        self.received_bytes = received_bytes
        self.frames_bytes = 0

    @property
    def is_complete(self) -> bool:
        """Every byte is there."""
        return self.received_bytes == self.layout.nbytes

    def feed(self, frame: Frame) -> None:
        """Take one chunk.

        Raises:
            RemoteProtocolError: it is out of place, too long, empty or damaged; what came before it is whole.
        """
        offset, data = decode_chunk(frame)
        if offset != self.received_bytes:
            raise RemoteProtocolError(f"a chunk for byte {offset:,} came where byte {self.received_bytes:,} was due")
        end = offset + len(data)
        if not data or end > self.layout.nbytes:
            raise RemoteProtocolError(f"a chunk of {len(data):,} bytes at byte {offset:,} of {self.layout.nbytes:,}")
        self.put(offset, data)
        self.received_bytes = end
        self.frames_bytes += len(frame)

    @abstractmethod
    def put(self, offset: int, data: memoryview) -> None:
        """Keep the next bytes."""

    @property
    def is_full(self) -> bool:
        """Whether it has to make room before it takes more."""
        return False

    async def make_room(self) -> None:  # noqa: B027  # most receivers have room for everything
        """Put what has come elsewhere."""


class BlobReceiver(Receiver):
    """Puts chunks into a buffer.

    Attributes:
        out: the buffer.
    """

    def __init__(self, layout: Layout, total_bytes: int, out: Buffer, received_bytes: int = 0) -> None:
        super().__init__(layout, total_bytes, received_bytes)
        assert out.nbytes == layout.nbytes
        assert out.flags.writeable
        self.out = out

    @override
    def put(self, offset: int, data: memoryview) -> None:
        self.out.data[offset : offset + len(data)] = data


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


# --------------------------------------------------------------------------------------------------------------- the controller


async def read_fetch(stream: Stream) -> FetchRequest:
    """What a learner wants to have; RemoteProtocolError if it is not said."""
    return decode_fetch(await stream.receive())


async def read_opening(stream: Stream) -> PushOpening:
    """What a learner wants to deliver; RemoteProtocolError if it is not said."""
    return decode_opening(await stream.receive())


async def refuse_fetch(stream: Stream, why: str) -> None:
    """Say that there is no such version, in one line; the stream goes on."""
    await stream.send(encode_refusal(FetchRefusal(why)))


async def receive_blob(stream: Stream, opening: PushOpening, receiver: Receiver) -> None:
    """Grant a push, unless its weights came with the opening, and receive what the receiver does not have yet.

    Call it once there is room: until then the learner waits. Failed or cancelled, the receiver says how far it came.

    Raises:
        RemoteProtocolError: a chunk is out of place or damaged, or they come too slowly.
        StreamClosed: the learner is gone.
    """
    if opening.chunk:
        receiver.feed(opening.chunk)
    else:
        await stream.send(encode_reply(PushGrant(receiver.received_bytes)))
    loop, first = asyncio.get_running_loop(), receiver.received_bytes
    began_s = loop.time()
    while not receiver.is_complete:
        try:
            async with asyncio.timeout_at(_due_s(began_s, receiver.received_bytes - first)):
                await _receive_chunks(stream, receiver)
        except TimeoutError:
            if loop.time() >= _due_s(began_s, receiver.received_bytes - first):  # and not only what was due at first
                raise RemoteProtocolError(f"an upload stands still at byte {receiver.received_bytes:,}") from None
        if receiver.is_full:
            await receiver.make_room()


def _due_s(began_s: float, received_bytes: int) -> float:
    """When the next chunk of an upload has to be here."""
    return began_s + UPLOAD_PATIENCE_S + received_bytes / UPLOAD_BYTES_PER_S_MIN


async def _receive_chunks(stream: Stream, receiver: Receiver) -> None:
    """Until there are no more, or room has to be made. Cancelled, it has lost none."""
    while not receiver.is_complete:
        receiver.feed(await stream.receive())
        if receiver.is_full:
            return


async def answer_push(stream: Stream, answer: PushAnswer) -> None:
    """Say what becomes of a push.

    Raises:
        StreamClosed: the learner is gone.
    """
    await stream.send(encode_reply(answer))


async def answer_amid_chunks(stream: Stream, answer: PushAnswer, receiver: Receiver) -> None:
    """Say what becomes of a push whose chunks are still coming: nobody wants them any more.

    The learner ends the stream when it hears it, unless it has sent everything by then. The receiver's buffer is not touched.

    Raises:
        RemoteProtocolError: what came was no chunk.
        StreamClosed: the learner has ended the stream, or did not hear within DRAIN_S.
    """
    await answer_push(stream, answer)
    received_bytes = receiver.received_bytes
    try:
        async with asyncio.timeout(DRAIN_S):
            while received_bytes < receiver.layout.nbytes:
                offset, data = decode_chunk(await stream.receive())
                received_bytes = offset + len(data)
    except TimeoutError:
        raise StreamClosed(f"the learner went on for {DRAIN_S:g} s after it was answered") from None
