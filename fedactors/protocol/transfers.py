"""The receiving end of a download and the sending end of an upload: a learner's, or a driver's.

Each is an object that outlives the stream it is at work on: an attempt that is cut raises, and the next one goes on where it was.

    download = Download(version)                      upload = Upload(task, layout, buffer, report, layout_known=True)
    layout, buffer = await download.attempt(streams, token)     answer = await upload.attempt(streams, token, chunk_bytes=...)
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress

from fedactors.errors import RemoteProtocolError, StreamClosed, TransportError
from fedactors.model import Buffer, Layout, Version
from fedactors.protocol.blob_wire import decode_header, decode_reply, encode_fetch, encode_opening
from fedactors.protocol.blobs import MODEL_BYTES_MAX, BlobReceiver, announced_layout
from fedactors.protocol.buffers import BufferPool
from fedactors.protocol.chunks import CHUNK_BYTES, encode_chunk, split_first
from fedactors.protocol.gate import GATE
from fedactors.protocol.messages import FETCH, PUSH, BlobHeader, FetchRefusal, FetchRequest, PushAnswer, PushGrant, PushOpening
from fedactors.protocol.weight_streams import WeightStreams
from fedactors.task import TaskId, TrainReport
from fedactors.transport import Frame, Stream

UPLOAD_NAME_BYTES = 8
DOWNLOAD_PATIENCE_S = 120.0
"""Of a download, nothing may come for so long: what is on the way may have swallowed its stream and not the session's."""


class FetchRefused(TransportError):
    """The controller has no such version: to ask again is of no use."""


class Download:
    """A version of the global model on its way here.

    Attributes:
        received_bytes: of its buffer, by all attempts.
    """

    def __init__(
        self,
        version: Version,
        *,
        known: Layout | None = None,
        pool: BufferPool | None = None,
        model_bytes_max: int = MODEL_BYTES_MAX,
    ) -> None:
        """Ask for nothing yet.

        Args:
            version: which.
            known: a layout that need not be sent again.
            pool: where the buffer comes from; None: fresh memory.
            model_bytes_max: a larger model is refused before memory is taken.
        """
        self._version = version
        self._known = known
        self._pool = BufferPool() if pool is None else pool
        self._model_bytes_max = model_bytes_max
        self._token: bytes | None = None
        self._receiver: BlobReceiver | None = None

    @property
    def received_bytes(self) -> int:
        """Of the buffer, by all attempts."""
        return 0 if self._receiver is None else self._receiver.received_bytes

    async def attempt(self, streams: WeightStreams, token: bytes) -> tuple[Layout, Buffer]:
        """Download what is not here yet; the layout, and the buffer, which is the caller's from then on.

        Cancelled or failed, it keeps what has come for another attempt, until `give_up`. Another token is another session,
        perhaps of another controller: then it begins anew.

        Raises:
            FetchRefused: the controller has no such version.
            RemoteProtocolError: what came is not what was announced, or is too large.
            StreamClosed: the controller is gone.
            Unreachable: the stream could not be opened.
        """
        if token != self._token:
            self.give_up()
            self._token = token
        known = self._known if self._receiver is None else self._receiver.layout
        request = FetchRequest(token, self._version, b"" if known is None else known.digest, self.received_bytes)
        async with streams.stream(FETCH) as stream:
            _, layout, buffer = await self.receive(stream, encode_fetch(request))
        return layout, buffer

    async def receive(self, stream: Stream, request: bytes) -> tuple[Version, Layout, Buffer]:
        """Send a request and receive the blob that answers it. As `attempt`."""
        await stream.send(request)
        try:
            async with asyncio.timeout(DOWNLOAD_PATIENCE_S):
                head, chunk = split_first(await stream.receive())
        except TimeoutError:
            raise StreamClosed(f"a download was not begun within {DOWNLOAD_PATIENCE_S:g} s") from None
        header = decode_header(head)
        if isinstance(header, FetchRefusal):
            raise FetchRefused(header.why or "the controller refused, and gave no reason")
        receiver = self._announced(header)
        if chunk:
            receiver.feed(chunk)
        while not receiver.is_complete:
            await self._receive_some(stream, receiver)
        self._receiver = None
        return header.version, receiver.layout, receiver.out

    async def _receive_some(self, stream: Stream, receiver: BlobReceiver) -> None:
        """What comes within DOWNLOAD_PATIENCE_S, if anything does."""
        before_bytes = receiver.received_bytes
        try:
            async with asyncio.timeout(DOWNLOAD_PATIENCE_S):
                while not receiver.is_complete:
                    receiver.feed(await stream.receive())
        except TimeoutError:
            if receiver.received_bytes == before_bytes:
                raise StreamClosed(f"a download stands still at byte {before_bytes:,}") from None

    def _announced(self, header: BlobHeader) -> BlobReceiver:
        """The receiver for a blob, or for the rest of one."""
        if self._receiver is None:
            layout = announced_layout(header, self._known, self._model_bytes_max)
            self._receiver = BlobReceiver(layout, header.total_bytes, self._pool.take(layout.nbytes))
        else:
            announced_layout(header, self._receiver.layout, self._model_bytes_max)
        return self._receiver

    def give_up(self) -> None:
        """Drop what has come; the buffer goes back to the pool. Idempotent."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            self._pool.give(receiver.out)


async def fetch(
    streams: WeightStreams,
    token: bytes,
    version: Version,
    *,
    known: Layout | None = None,
    pool: BufferPool | None = None,
    model_bytes_max: int = MODEL_BYTES_MAX,
) -> tuple[Layout, Buffer]:
    """Download a version in one attempt; cancelled or failed, the buffer goes back by itself. As `Download`."""
    download = Download(version, known=known, pool=pool, model_bytes_max=model_bytes_max)
    try:
        return await download.attempt(streams, token)
    finally:
        download.give_up()


class Upload:
    """Weights on their way to the controller.

    Attributes:
        acknowledged_bytes: that the controller had of an interrupted attempt, as it said when it granted the last one.
    """

    def __init__(self, task: TaskId, layout: Layout, buffer: Buffer, report: TrainReport, *, layout_known: bool) -> None:
        """Send nothing yet.

        Args:
            task: which the weights answer; empty: none, as a driver's.
            layout: of the weights.
            buffer: the weights, which must not change until they are delivered.
            report: what the learner says of its training.
            layout_known: the layout is the global model's; it is then not sent.
        """
        self.acknowledged_bytes = 0
        self._task = task
        self._layout = layout
        self._buffer = buffer
        self._report = report
        self._specs = None if layout_known else tuple(layout.specs)
        self._name = secrets.token_bytes(UPLOAD_NAME_BYTES)

    async def attempt(
        self, streams: WeightStreams, token: bytes, *, chunk_bytes: int = CHUNK_BYTES, eager_bytes: int = 0
    ) -> PushAnswer:
        """Deliver what the controller does not have yet, and wait for the answer. Safe to repeat: a task is answered once.

        Args:
            streams: to the controller.
            token: of the Welcome.
            chunk_bytes: of weights in one frame, as the Welcome says.
            eager_bytes: a buffer of at most so many bytes travels with the opening, as the Welcome says; at most chunk_bytes.

        Raises:
            RemoteProtocolError: the controller's answer is none.
            StreamClosed: the controller is gone; the weights may have been taken or not.
            Unreachable: the stream could not be opened.
        """
        async with streams.stream(PUSH) as stream:
            return await self.send(stream, token, chunk_bytes, eager_bytes)

    async def send(self, stream: Stream, token: bytes = b"", chunk_bytes: int = CHUNK_BYTES, eager_bytes: int = 0) -> PushAnswer:
        """Send an opening, wait for the grant, send the chunks, receive the answer. As `attempt`."""
        await GATE.send(stream, encode_opening(self._opening(token, eager_bytes)))
        reply = decode_reply(await stream.receive())
        return await self._granted(stream, reply, chunk_bytes) if isinstance(reply, PushGrant) else reply

    def _opening(self, token: bytes, eager_bytes: int) -> PushOpening:
        layout, data = self._layout, self._buffer.data
        chunk = encode_chunk(0, data) if len(data) <= eager_bytes else b""
        return PushOpening(
            token, self._task, layout.digest, self._specs, layout.nbytes, self._report, memoryview(chunk), self._name
        )

    async def _granted(self, stream: Stream, grant: PushGrant, chunk_bytes: int) -> PushAnswer:
        if grant.offset > self._buffer.nbytes:
            raise RemoteProtocolError(f"byte {grant.offset:,} was asked for, of {self._buffer.nbytes:,}")
        self.acknowledged_bytes = grant.offset
        answer = asyncio.ensure_future(stream.receive())
        try:
            with suppress(StreamClosed):  # why the controller ended early is in its answer
                await self._send_chunks(stream, chunk_bytes, answer)
            reply = decode_reply(await answer)
        finally:
            answer.cancel()
        if isinstance(reply, PushGrant):
            raise RemoteProtocolError("the controller granted a push twice")
        return reply

    async def _send_chunks(self, stream: Stream, chunk_bytes: int, answer: asyncio.Future[Frame]) -> None:
        """Each chunk is made when its turn has come; with an answer before the end, the stream has done its duty."""
        data = self._buffer.data
        for offset in range(self.acknowledged_bytes, len(data), chunk_bytes):
            if answer.done():
                stream.cut("answered amid the chunks")
                return
            await GATE.send(stream, encode_chunk(offset, data[offset : offset + chunk_bytes]))


async def push(
    streams: WeightStreams,
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
    """Deliver weights in one attempt. As `Upload`."""
    upload = Upload(task, layout, buffer, report, layout_known=layout_known)
    return await upload.attempt(streams, token, chunk_bytes=chunk_bytes, eager_bytes=eager_bytes)
