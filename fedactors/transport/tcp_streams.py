"""A stream of `tcp://`, at either end: a connection of its own."""

from __future__ import annotations

from typing_extensions import override

from fedactors.errors import AccessDenied, LocalProtocolError, StreamClosed
from fedactors.transport.base import Frame, Stream
from fedactors.transport.frames import Kind
from fedactors.transport.tcp_wire import Wire


class TcpStream(Stream):
    """Frames over a connection that is open."""

    def __init__(self, wire: Wire, method: str, peer: str, frame_bytes_max: int) -> None:
        self.method = method
        self.peer = peer
        self._wire = wire
        self._frame_bytes_max = frame_bytes_max
        self._finished = False

    @property
    @override
    def is_over(self) -> bool:
        return self._wire.over is not None

    @override
    async def send(self, frame: Frame) -> None:
        if len(frame) > self._frame_bytes_max:
            raise LocalProtocolError(f"a frame of {len(frame):,} bytes; at most {self._frame_bytes_max:,} may be sent")
        if not self._finished:
            await self._wire.ready()
        if self._finished:  # it may have, meanwhile
            raise LocalProtocolError(f"send on {self.method} after finish")
        self._wire.write(Kind.DATA, frame)

    @override
    async def receive(self) -> Frame:
        return await self._wire.receive()

    @override
    async def finish(self) -> None:
        if not self._finished:
            self._finished = True
            if self._wire.over is None:
                self._wire.write(Kind.FINISH)

    @override
    def cut(self, why: str) -> None:
        self._wire.cut(why)

    @override
    def deny(self, why: str) -> None:
        self.cut(why)


class ServedStream(TcpStream):
    """At the listener's end."""

    @override
    def deny(self, why: str) -> None:
        self._wire.part(Kind.DENY, AccessDenied(why))

    def end(self) -> None:
        """In good order: what was sent still arrives, nothing more is taken."""
        self._wire.part(Kind.END, StreamClosed("the stream has ended"))
