"""The two ends of a gRPC stream as `Stream`s. Everything that grpc.aio raises becomes one of our errors here.

What grpc.aio does, and what is done about it:

* A cancelled read kills the call: one task for each stream reads all its life, into a small pipe.
* Two writes at a time kill the call, and so does a cancelled one: a cancelled `send` cuts the stream.
* A client's read and write raise CancelledError when the call was cancelled from here: told apart by `Task.cancelling`.
* A server reads end-of-file both from a client that finished and from one that died; the news of the death comes just after.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any, TypeAlias

from typing_extensions import override

from fedactors.errors import AccessDenied, LocalProtocolError, StreamClosed
from fedactors.transport.base import Frame, Stream
from fedactors.transport.grpc_core import grpc
from fedactors.transport.pipe import Pipe

INCOMING_FRAMES = 2
"""Frames read ahead of the application, on each stream."""
EOF_GRACE_S = 0.02
"""How long after a client's end of file the news may come that it has died."""
WHY_CHARS_MAX = 1024
"""Of the reason for a cut, which travels in a header."""

DENIED = grpc.StatusCode.PERMISSION_DENIED
AUTHORIZATION, BEARER = "authorization", "Bearer "
"""The header that shows a token, as HTTP has it (RFC 6750)."""

Call: TypeAlias = grpc.aio.StreamStreamCall[bytes, bytes]
Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]

FOREIGN = (grpc.RpcError, grpc.aio.BaseError, asyncio.InvalidStateError)
"""What grpc.aio raises when a stream is over; the last one on writing to a call that has ended."""


class GrpcStream(Stream):
    """What both ends have in common."""

    def __init__(self, method: str, peer: str, frame_bytes_max: int) -> None:
        self.method = method
        self.peer = peer
        self._frame_bytes_max = frame_bytes_max
        self._incoming = Pipe(INCOMING_FRAMES)
        self._finished = False
        self._over: str | None = None
        self._sender: asyncio.Task[Any] | None = None
        self._reader = asyncio.get_running_loop().create_task(self._read_all(), name=f"read {method}")

    @property
    @override
    def is_over(self) -> bool:
        return self._over is not None

    @override
    async def send(self, frame: Frame) -> None:
        if self._finished:
            raise LocalProtocolError(f"send on {self.method} after finish")
        if len(frame) > self._frame_bytes_max:
            raise LocalProtocolError(f"a frame of {len(frame):,} bytes; at most {self._frame_bytes_max:,} may be sent")
        if self._over is not None:
            raise StreamClosed(self._over)
        task = self._sender = asyncio.current_task()
        assert task is not None
        cancels = task.cancelling()
        try:
            await self._write(bytes(frame))
        except FOREIGN as error:
            raise await self._ending(error) from error
        except asyncio.CancelledError:
            if self._sender is None and task.uncancel() <= cancels:  # by `_interrupt_send`
                raise StreamClosed(self._over or "the stream was cut") from None
            if task.cancelling() > cancels:
                self._sender = None
                self.cut("a send was cancelled")
                raise
            raise StreamClosed(self._over or "the stream was cut") from None  # by grpc.aio
        finally:
            self._sender = None

    def _interrupt_send(self) -> None:
        """Wake a send that waits for a peer which does not read; it raises StreamClosed."""
        if self._sender is not None:
            sender, self._sender = self._sender, None
            sender.cancel()

    @override
    async def receive(self) -> Frame:
        return await self._incoming.get()

    @override
    def cut(self, why: str) -> None:
        if self._over is None:
            self._over = why
            self._incoming.cut(why)
            self._hang_up(why)

    async def _read_all(self) -> None:
        """Read for as long as the stream lives."""
        try:
            while (frame := await self._read()) is not None:
                await self._incoming.put(frame)
                frame = None  # a megabyte, perhaps, and the next one may come long after
        except FOREIGN as error:
            ending = await self._ending(error)
            self._incoming.fail(str(ending), type(ending))
        except StreamClosed as error:
            self._incoming.fail(str(error))
        except asyncio.CancelledError:
            self._incoming.fail(self._over or "the stream was cut")
            if (task := asyncio.current_task()) is not None and task.cancelling():  # not by grpc.aio
                raise
        else:
            self._incoming.finish()

    async def _ending(self, error: BaseException) -> StreamClosed:
        """What a foreign error says of the stream's end."""
        return StreamClosed(self._over or story(error))

    @abstractmethod
    async def _read(self) -> bytes | None:
        """The next frame; None at the end of file."""

    @abstractmethod
    async def _write(self, frame: bytes) -> None:
        """One frame."""

    @abstractmethod
    def _hang_up(self, why: str) -> None:
        """End the call at once."""


class ClientStream(GrpcStream):
    """A client's end: a call."""

    def __init__(self, call: Call, method: str, peer: str, frame_bytes_max: int) -> None:
        self._call = call
        super().__init__(method, peer, frame_bytes_max)

    @property
    @override
    def is_over(self) -> bool:
        return self._over is not None or self._call.done()

    @override
    async def _read(self) -> bytes | None:
        frame = await self._call.read()
        return frame if isinstance(frame, bytes) else None

    @override
    async def _write(self, frame: bytes) -> None:
        await self._call.write(frame)

    @override
    async def finish(self) -> None:
        if not self._finished:
            self._finished = True
            try:
                await self._call.done_writing()
            except FOREIGN:  # it is over already
                return

    @override
    def deny(self, why: str) -> None:
        self.cut(why)

    @override
    def _hang_up(self, why: str) -> None:
        self._call.cancel()

    @override
    async def _ending(self, error: BaseException) -> StreamClosed:
        denial = await denied(self._call) if self._over is None else None
        return denial or await super()._ending(error)


class ServerStream(GrpcStream):
    """A listener's end: a context, which is valid only until the handler returns."""

    def __init__(self, context: Context, method: str, frame_bytes_max: int) -> None:
        self._context = context
        self._aborting: asyncio.Task[None] | None = None
        self._client_is_gone = False
        self._code = grpc.StatusCode.ABORTED
        super().__init__(method, context.peer(), frame_bytes_max)
        self.credential, self.identity = _bearer(context), _identity(context)

    @override
    async def _read(self) -> bytes | None:
        frame: Any = await self._context.read()
        if isinstance(frame, bytes):
            return frame
        await asyncio.sleep(EOF_GRACE_S)
        if self._client_is_gone:
            raise StreamClosed("the peer is gone")
        return None

    @override
    async def _write(self, frame: bytes) -> None:
        await self._context.write(frame)

    @override
    async def finish(self) -> None:
        self._finished = True

    @override
    def deny(self, why: str) -> None:
        if self._over is None:
            self._code = DENIED
        self.cut(why)

    @override
    def _hang_up(self, why: str) -> None:
        self._interrupt_send()
        self._aborting = asyncio.get_running_loop().create_task(self._abort(why))

    async def _abort(self, why: str) -> None:
        try:
            await self._context.abort(self._code, why[:WHY_CHARS_MAX])
        except FOREIGN:  # always: that is how grpc.aio ends a handler
            return

    def lose(self, why: str) -> None:
        """The client is gone, or the server stops."""
        self._client_is_gone = True
        self._over = self._over or why
        self._incoming.fail(why)
        self._interrupt_send()

    async def detach(self) -> None:
        """Use the context no more: the handler is about to return."""
        self._over = self._over or "the stream has ended"
        self._incoming.cut(self._over)
        self._interrupt_send()
        self._reader.cancel()
        await asyncio.wait([self._reader] if self._aborting is None else [self._reader, self._aborting])


def _bearer(context: Context) -> str:
    """The token in the header `authorization: Bearer TOKEN`; empty where there is none."""
    for name, value in context.invocation_metadata() or ():
        if name == AUTHORIZATION and isinstance(value, str):
            return value.removeprefix(BEARER) if value.startswith(BEARER) else ""
    return ""


def _identity(context: Context) -> str:
    """The URI in the client's certificate, which gRPC has verified; empty where there is none, or more than one."""
    uris = list(context.auth_context().get("peer_uri", ()))
    return uris[0].decode("utf-8", "replace") if len(uris) == 1 else ""


async def denied(call: Call) -> AccessDenied | None:
    """What a call that is over says if it was denied."""
    if call.done() and await call.code() is DENIED:
        return AccessDenied(await call.details())
    return None


def story(error: BaseException) -> str:
    """A foreign error in one line."""
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.details() or 'the peer is gone'} ({error.code().name})"
    return "the peer has ended the stream"
