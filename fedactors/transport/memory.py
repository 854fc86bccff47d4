"""Frames between tasks of one event loop: `memory://name`. For tests, simulations and federations within one process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from typing_extensions import override

from fedactors.errors import AccessDenied, AddressError, LocalProtocolError, Unreachable
from fedactors.transport.base import Accept, Address, Admit, Channel, Frame, Listener, Stream, Transport, everybody
from fedactors.transport.pipe import Pipe
from fedactors.transport.serving import ACCEPT_END_S, serve

_listeners: dict[str, MemoryListener] = {}
_waiting: dict[str, list[asyncio.Future[None]]] = {}


@dataclass(frozen=True, slots=True)
class MemoryTransport(Transport):
    """Streams are pairs of bounded queues.

    Attributes:
        frames_max: frames on their way, each way of each stream, before `send` waits; >= 1.
    """

    frames_max: int = 4

    @override
    async def listen(self, address: Address, accept: Accept, admit: Admit = everybody) -> MemoryListener:
        present = _listeners.get(address.place)
        if present is not None and present.is_alive:
            raise AddressError(f"{address} is in use in this process: close its listener, or choose another name")
        listener = _listeners[address.place] = MemoryListener(address, accept, admit, self)
        for waiter in _waiting.pop(address.place, ()):
            if not waiter.done():
                waiter.set_result(None)
        return listener

    @override
    def connect(self, address: Address, *, credential: str = "") -> MemoryChannel:
        """A credential is not needed: whoever is in this process is trusted."""
        return MemoryChannel(address, self)


class MemoryStream(Stream):
    """One end of a pair of pipes."""

    def __init__(self, method: str, peer: str, incoming: Pipe, outgoing: Pipe, frame_bytes_max: int) -> None:
        self.method = method
        self.peer = peer
        self._incoming = incoming
        self._outgoing = outgoing
        self._frame_bytes_max = frame_bytes_max
        self._finished = False

    @override
    async def send(self, frame: Frame) -> None:
        if self._finished:
            raise LocalProtocolError(f"send on {self.method} after finish")
        if len(frame) > self._frame_bytes_max:
            raise LocalProtocolError(f"a frame of {len(frame):,} bytes; at most {self._frame_bytes_max:,} may be sent")
        await self._outgoing.put(frame)

    @override
    async def receive(self) -> Frame:
        frame = await self._incoming.get()
        if len(frame) > self._frame_bytes_max:
            self.cut(f"a frame of {len(frame):,} bytes came; at most {self._frame_bytes_max:,} are taken")
            return await self._incoming.get()
        return frame

    @override
    async def finish(self) -> None:
        self._finished = True
        self._outgoing.finish()

    async def end(self) -> None:
        """In good order: what was sent still arrives, nothing more is taken."""
        await self.finish()
        self._incoming.cut("the peer has ended the stream")

    @property
    @override
    def is_over(self) -> bool:
        return self._incoming.is_over and self._outgoing.is_over

    @override
    def cut(self, why: str) -> None:
        self._incoming.cut(why)
        self._outgoing.cut(why)

    @override
    def deny(self, why: str) -> None:
        self._incoming.cut(why, AccessDenied)
        self._outgoing.cut(why, AccessDenied)


class MemoryListener(Listener):
    """Runs one task for each open stream."""

    def __init__(self, address: Address, accept: Accept, admit: Admit, transport: MemoryTransport) -> None:
        self.address = address
        self._accept = accept
        self._admit = admit
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._streams: dict[asyncio.Task[None], MemoryStream] = {}
        self._closed = False

    @property
    def is_alive(self) -> bool:
        """Streams can be opened."""
        return not self._closed and not self._loop.is_closed()

    def open(self, method: str, client: MemoryTransport) -> MemoryStream:
        """The client's end of a new stream; the other end is being served."""
        up, down = Pipe(client.frames_max), Pipe(self._transport.frames_max)
        served = MemoryStream(method, f"a client of {self.address}", up, down, self._transport.frame_bytes_max)
        served.is_local = True
        self._admit(served)
        task = self._loop.create_task(self._serve(served), name=f"serve {method}")
        self._streams[task] = served
        task.add_done_callback(self._streams.pop)
        return MemoryStream(method, str(self.address), down, up, client.frame_bytes_max)

    async def _serve(self, stream: MemoryStream) -> None:
        try:
            why = await serve(self._accept, stream)
        except asyncio.CancelledError:
            stream.cut("the listener was closed")
            raise
        if why is not None:
            stream.cut(why)
        else:
            await stream.end()

    @override
    async def close(self, grace_s: float) -> None:
        self._closed = True
        if _listeners.get(self.address.place) is self:
            del _listeners[self.address.place]
        await self._wait(grace_s)
        for stream in self._streams.values():
            stream.cut("the listener was closed")
        await self._wait(ACCEPT_END_S)
        for task in self._streams:
            task.cancel()
        await self._wait(None)

    async def _wait(self, timeout_s: float | None) -> None:
        if self._streams:
            await asyncio.wait(list(self._streams), timeout=timeout_s)


class MemoryChannel(Channel):
    """Opens streams to the listener of that name."""

    def __init__(self, address: Address, transport: MemoryTransport) -> None:
        self._address = address
        self._transport = transport
        self._streams: list[MemoryStream] = []
        self._closed = False

    @override
    def leave(self, stream: Stream) -> None:
        """There is no connection that could be dead."""

    @override
    async def open(self, method: str, *, timeout_s: float) -> MemoryStream:
        if self._closed:
            raise LocalProtocolError(f"the channel to {self._address} is closed")
        try:
            async with asyncio.timeout(timeout_s):
                listener = await self._find()
        except TimeoutError:
            raise Unreachable(f"nobody listens at {self._address}; waited for {timeout_s:g} s") from None
        stream = listener.open(method, self._transport)
        self._streams = [known for known in self._streams if not known.is_over]
        self._streams.append(stream)
        return stream

    async def _find(self) -> MemoryListener:
        place = self._address.place
        while (listener := _listeners.get(place)) is None or not listener.is_alive:
            waiter = asyncio.get_running_loop().create_future()
            _waiting.setdefault(place, []).append(waiter)
            await waiter
        return listener

    @override
    async def close(self) -> None:
        self._closed = True
        for stream in self._streams:
            stream.cut("the channel was closed")
