"""A connection of `tcp://` as frames: what its socket reads goes into frames, and frames into what it writes."""

from __future__ import annotations

import asyncio
import threading
from typing import cast

from typing_extensions import override

from fedactors.errors import AccessDenied, RemoteProtocolError, StreamClosed
from fedactors.transport.base import Frame
from fedactors.transport.frames import PREAMBLE, ForeignProtocolError, FrameReader, Kind, Rules, decode_why, encode_why, header
from fedactors.transport.pipe import Pipe

INCOMING_FRAMES = 2
"""Read ahead of the application, on each connection; then the socket is not read, and its peer has to wait. Small frames that
come together are read together: of these it may be more, SCRATCH_BYTES in all."""
SCRATCH_BYTES = 64 * 1024
"""Of a read, unless it goes into the memory of a large frame."""
WRITE_BUFFER_BYTES = 64 * 1024
"""That the socket has not taken: with more, `send` waits. One frame may be in it beside that."""
JOINED_BYTES = 16 * 1024
"""Of a body: up to this length it is copied behind its header, which costs less than writing twice."""
LINGER_S = 2.0
"""So long the peer may take to hang up, once it was told that the stream is over."""
GONE = "the peer is gone"


class _Scratch(threading.local):
    """One for each event loop, which is to say for each thread: what was read is looked at before anybody else reads."""

    def __init__(self) -> None:
        self.memory = memoryview(bytearray(SCRATCH_BYTES))


SCRATCH = _Scratch()


class Wires:
    """The connections of a listener or of a channel."""

    def __init__(self) -> None:
        self._alive: set[Wire] = set()
        self._none_left: asyncio.Future[None] | None = None

    def add(self, wire: Wire) -> None:
        """It was made."""
        self._alive.add(wire)

    def discard(self, wire: Wire) -> None:
        """It is lost."""
        self._alive.discard(wire)
        if not self._alive and self._none_left is not None and not self._none_left.done():
            self._none_left.set_result(None)

    def cut(self, why: str) -> None:
        """All of them, at once."""
        for wire in list(self._alive):
            wire.cut(why)

    async def end(self, grace_s: float) -> None:
        """Wait for so long until all have ended; then let go of those that have not."""
        for wait_s in (grace_s, LINGER_S):
            if not self._alive:
                return
            self._none_left = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._none_left], timeout=wait_s)
            for wire in list(self._alive):
                wire.abort()


class Wire(asyncio.BufferedProtocol):
    """One end of a connection.

    A large frame is read into memory of its own, everything else into memory that all connections share: one that is idle has
    none. It ends in one of three ways: this side parts, the peer says that the stream is over, or the connection is lost.

    Attributes:
        incoming: what the peer has sent and nobody has taken: its opening, or its answer to one, then the application's frames.
        over: why nothing can be sent any more; None as long as it can.
        foreign: what the peer speaks, if it is another protocol.
    """

    __slots__ = (
        "_full", "_hangs_up", "_paused", "_preamble", "_reader", "_transport", "_wires", "_writer", "_written_bytes",
        "foreign", "incoming", "over",
    )  # fmt: skip

    def __init__(self, rules: Rules, wires: Wires) -> None:
        """Before there is a connection.

        Args:
            rules: what the peer may send.
            wires: where it is kept for as long as it lives.
        """
        self.incoming = Pipe(INCOMING_FRAMES)
        self.over: StreamClosed | None = None
        self.foreign: ForeignProtocolError | None = None
        self._reader: FrameReader | None = FrameReader(rules)
        self._transport: asyncio.Transport | None = None
        self._wires = wires
        self._preamble = PREAMBLE
        self._paused = False
        self._full = False
        self._writer: asyncio.Future[None] | None = None
        self._written_bytes = 0
        self._hangs_up: asyncio.TimerHandle | None = None

    # -------------------------------------------------------------------------------------------------------------- connection

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # a socket's is one
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._wires.add(self)

    @property
    def transport(self) -> asyncio.Transport:
        """The event loop's end of the connection."""
        assert self._transport is not None, "there is no connection yet"
        return self._transport

    @override
    def eof_received(self) -> None:
        self._lose(StreamClosed(GONE))
        self.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(StreamClosed(GONE if exc is None else f"{GONE} ({exc})"))
        if self._hangs_up is not None:
            self._hangs_up.cancel()
        self._wires.discard(self)

    def abort(self) -> None:
        """Let go of the connection, if there is one. Idempotent."""
        self._lose(StreamClosed("the connection was let go"))
        if self._transport is not None:
            self._transport.abort()

    def _lose(self, why: StreamClosed) -> None:
        """Nothing more will come; what came is still there to be taken."""
        self.incoming.fail(str(why), type(why))
        self._end(why)

    def _end(self, why: StreamClosed) -> None:
        if self.over is None:
            self.over, self._reader = why, None
            _wake(self._writer)

    # ----------------------------------------------------------------------------------------------------------------- reading

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        place = None if self._reader is None else self._reader.place
        return SCRATCH.memory if place is None else place

    @override
    def buffer_updated(self, nbytes: int) -> None:
        if (reader := self._reader) is None:  # what still comes of a stream that is over
            return
        frames = reader.feed(SCRATCH.memory[:nbytes]) if reader.place is None else reader.placed(nbytes)
        try:
            for kind, body in frames:
                self._take(kind, body)
                if self.over is not None:
                    return
        except RemoteProtocolError as error:
            self.foreign = error if isinstance(error, ForeignProtocolError) else None
            self.cut(str(error))
            return
        if not self.incoming.has_room and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def _take(self, kind: Kind, body: Frame) -> None:
        match kind:
            case Kind.OPEN | Kind.OPENED | Kind.DATA:
                self.incoming.push(body)
            case Kind.FINISH:
                self.incoming.finish()
            case Kind.END:
                self.incoming.finish()
                self._obey(StreamClosed("the peer has ended the stream"))
            case Kind.CUT:
                self._obey(StreamClosed(decode_why(body)))
            case Kind.DENY:
                self._obey(AccessDenied(decode_why(body)))

    def _obey(self, why: StreamClosed) -> None:
        """The peer has said that the stream is over, and waits for this side to hang up."""
        self._lose(why)
        self.transport.abort()

    async def receive(self) -> Frame:
        """As `Stream.receive`."""
        frame = await self.incoming.get()
        if self._paused and self.incoming.has_room and self.over is None:
            self._paused = False
            self.transport.resume_reading()
        return frame

    # ----------------------------------------------------------------------------------------------------------------- writing

    @override
    def pause_writing(self) -> None:
        self._full = True

    @override
    def resume_writing(self) -> None:
        self._full = False
        _wake(self._writer)

    async def ready(self) -> None:
        """Wait until there is room to write. Cancelled, nothing was written.

        Raises:
            StreamClosed: there never will be.
        """
        if self._written_bytes > WRITE_BUFFER_BYTES:  # a peer that keeps up must not hold up the rest of the process
            self._written_bytes = 0
            await asyncio.sleep(0)
        while self._full and self.over is None:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        if self.over is not None:
            raise type(self.over)(str(self.over))

    def write(self, kind: Kind, body: Frame = b"") -> None:
        """Hand a frame to the event loop, whole; what the socket does not take now is kept."""
        head, self._preamble = self._preamble + header(kind, len(body)), b""
        self._written_bytes += len(head) + len(body)
        if len(body) <= JOINED_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    def cut(self, why: str) -> None:
        """End it both ways, and tell the peer why. Idempotent."""
        self.part(Kind.CUT, StreamClosed(why))

    def part(self, kind: Kind, why: StreamClosed) -> None:
        """Say by this kind of frame that the stream is over; hang up when the peer has, or after LINGER_S. Idempotent."""
        self.incoming.cut(str(why), type(why))
        if self.over is None and self._transport is not None:
            self._end(why)
            self.write(kind, b"" if kind is Kind.END else encode_why(str(why)))
            self.transport.resume_reading()  # into nothing, until the peer hangs up
            self._hangs_up = asyncio.get_running_loop().call_later(LINGER_S, self.transport.abort)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
