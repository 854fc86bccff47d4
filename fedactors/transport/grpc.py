"""Frames over gRPC: `grpc://host:port`, or `grpc:///absolute/path.sock` for a Unix socket.

A stream's method is the path of a gRPC call; requests and responses are the frames as they are. Every method is served as
bidirectional, which on the wire is the same as the unary variants in the schema. Use one event loop in a process, and start other
processes by spawn, not fork: grpc.aio demands both.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import stat
import weakref
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from typing_extensions import override

from fedactors.errors import AccessDenied, AddressError, LocalProtocolError, Unreachable
from fedactors.transport.base import Accept, Address, Admit, Channel, Listener, Stream, Transport, everybody
from fedactors.transport.grpc_core import grpc
from fedactors.transport.grpc_streams import AUTHORIZATION, BEARER, Call, ClientStream, Context, ServerStream, denied
from fedactors.transport.ports import PORT_MAX, bind, host_and_port
from fedactors.transport.serving import ACCEPT_END_S, serve

SOCKET_PATH_BYTES_MAX = 107
"""Of a Unix socket's path; the operating system's limit."""
STREAMS_MAX = 1_000_000
"""On one connection. (gRPC's own default, 100, makes the 101st hang.)"""
RECONNECT_FIRST_S = 0.2
CONNECT_TIMEOUT_S = 5.0
ENDED_AFTER_ACCEPT = (grpc.StatusCode.OK, grpc.StatusCode.ABORTED)
"""What a call ends with that was accepted by a listener of ours."""

NOT_THERE = ("Failed to connect", "connect failed", "DNS", "resol", "Timeout occurred")
"""What gRPC says, among other things, where nobody has answered to TCP."""
PROBE = "/fedactors.transport/Probe"
"""The method of a call that is made only to hear why the connection fails."""

Options: TypeAlias = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class GrpcTransport(Transport):
    """gRPC without TLS; `grpcs` is with it.

    Attributes:
        keepalive_s: an idle connection with open streams is probed this often.
        keepalive_timeout_s: a probe that is not answered for this long ends the connection.
        reconnect_max_s: longest time between two attempts to connect; it begins at RECONNECT_FIRST_S and grows, with jitter.
        handshake_s: a listener gives a new connection so long to show that it speaks HTTP/2.
        idle_s: a listener ends a connection on which no stream is open after so long; who needs it again connects again.
    """

    keepalive_s: float = 10.0
    keepalive_timeout_s: float = 5.0
    reconnect_max_s: float = 5.0
    handshake_s: float = 10.0
    idle_s: float = 60.0

    @override
    async def listen(self, address: Address, accept: Accept, admit: Admit = everybody) -> GrpcListener:
        place, path = target(address), socket_path(address)
        if path is None:
            await _check_port(address)
        else:
            _reclaim(path)
        server = grpc.aio.server(options=self._server_options())
        listener = GrpcListener(server, accept, admit, self.frame_bytes_max, path)
        server.add_generic_rpc_handlers((listener.handler,))
        mask = os.umask(stat.S_IRWXG | stat.S_IRWXO)  # nobody else opens the socket, not even before its mode is set
        try:
            port = self._bind(server, place)
        except RuntimeError as error:
            raise AddressError(f"cannot listen at {address}: {error}") from error
        finally:
            os.umask(mask)
        await server.start()
        if path is None:
            listener.address = Address(address.scheme, f"{address.place.rpartition(':')[0]}:{port}")
        else:
            listener.address = address
            path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        return listener

    def _bind(self, server: grpc.aio.Server, place: str) -> int:
        return server.add_insecure_port(place)

    @override
    def connect(self, address: Address, *, credential: str = "") -> GrpcChannel:
        return GrpcChannel(address, self._client_options(address), self.frame_bytes_max, credential)

    def _common_options(self) -> Options:
        return [
            ("grpc.max_send_message_length", self.frame_bytes_max),
            ("grpc.max_receive_message_length", self.frame_bytes_max),
            ("grpc.keepalive_time_ms", int(self.keepalive_s * 1000)),
            ("grpc.http2.ping_timeout_ms", int(self.keepalive_timeout_s * 1000)),  # grpc.keepalive_timeout_ms is dead code
            ("grpc.http2.max_pings_without_data", 0),
        ]

    def _server_options(self) -> Options:
        return [
            *self._common_options(),
            ("grpc.so_reuseport", 0),  # else a second listener at the same port takes half of the connections
            ("grpc.max_concurrent_streams", STREAMS_MAX),
            ("grpc.http2.min_ping_interval_without_data_ms", int(self.keepalive_s * 500)),
            ("grpc.server_handshake_timeout_ms", int(self.handshake_s * 1000)),
            ("grpc.max_connection_idle_ms", int(self.idle_s * 1000)),
        ]

    def _client_options(self, address: Address) -> Options:
        return [
            *self._common_options(),
            ("grpc.use_local_subchannel_pool", 1),  # a channel is a connection
            ("grpc.initial_reconnect_backoff_ms", int(RECONNECT_FIRST_S * 1000)),
            ("grpc.min_reconnect_backoff_ms", int(CONNECT_TIMEOUT_S * 1000)),  # the name misleads: it bounds one attempt
            ("grpc.max_reconnect_backoff_ms", int(self.reconnect_max_s * 1000)),
            *([("grpc.enable_http_proxy", 0)] if is_loopback(address) else []),
        ]


class _Handler(grpc.GenericRpcHandler):
    """Serves every method in the same way."""

    def __init__(self, listener: GrpcListener) -> None:
        self._listener = listener

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        return grpc.stream_stream_rpc_method_handler(partial(self._listener.serve, handler_call_details.method))


class GrpcListener(Listener):
    """A server; runs one task for each open stream."""

    def __init__(self, server: grpc.aio.Server, accept: Accept, admit: Admit, frame_bytes_max: int, path: Path | None) -> None:
        self.handler = _Handler(self)
        self._server = server
        self._accept = accept
        self._admit = admit
        self._frame_bytes_max = frame_bytes_max
        self._path = path
        self._lives: set[asyncio.Task[None]] = set()
        self._lost = "the peer is gone"

    async def serve(self, method: str, _: object, context: Context) -> None:
        """One stream from its opening to its end."""
        stream = ServerStream(context, method, self._frame_bytes_max)
        stream.is_local = self._path is not None
        try:
            self._admit(stream)
        except AccessDenied as denial:
            stream.deny(str(denial))
            await stream.detach()
            return
        try:
            await context.send_initial_metadata(())  # the client's `open` waits for it
        except BaseException:  # it is gone already
            await stream.detach()
            raise
        life = asyncio.get_running_loop().create_task(self._live(stream), name=f"serve {method}")
        self._lives.add(life)
        while not life.done():
            try:
                await asyncio.wait({life})
            except asyncio.CancelledError:  # grpc.aio's way to tell that the client is gone, and that the server stops
                stream.lose(self._lost)
        self._lives.discard(life)

    async def _live(self, stream: ServerStream) -> None:
        try:
            why = await serve(self._accept, stream)
            if why is not None:
                stream.cut(why)
        finally:
            await stream.detach()

    @override
    async def close(self, grace_s: float) -> None:
        self._lost = "the listener was closed"
        stopping = asyncio.ensure_future(self._server.stop(grace_s))
        await asyncio.wait({stopping, *self._lives}, timeout=grace_s + ACCEPT_END_S)
        for life in self._lives:
            life.cancel()
        await asyncio.wait({stopping, *self._lives})
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class GrpcChannel(Channel):
    """A connection, made when the first stream is opened."""

    def __init__(self, address: Address, options: Options, frame_bytes_max: int, credential: str) -> None:
        self._address = address
        self._target = target(address)
        self._options = options
        self._metadata = ((AUTHORIZATION, BEARER + credential),) if credential else ()
        self._frame_bytes_max = frame_bytes_max
        self._channel: grpc.aio.Channel | None = None
        self._left: list[grpc.aio.Channel] = []
        self._streams: weakref.WeakKeyDictionary[Stream, grpc.aio.Channel] = weakref.WeakKeyDictionary()
        self._closed = False

    @override
    async def open(self, method: str, *, timeout_s: float) -> ClientStream:
        if self._closed:
            raise LocalProtocolError(f"the channel to {self._address} is closed")
        await self._close_left()
        if self._channel is None:
            self._channel = self._dial()
        channel, failure = self._channel, ""
        try:
            async with asyncio.timeout(timeout_s):
                while await lost_on_its_way(call := await self._answered(channel, method)):
                    failure = f"; the last attempt failed ({await call.details()})"
                    await asyncio.sleep(RECONNECT_FIRST_S)
        except TimeoutError:
            complaint = failure or await self._complaint(channel)
            self._leave(channel)
            raise Unreachable(f"nobody answers at {self._address}; waited for {timeout_s:g} s{complaint}") from None
        await self._check(call)
        stream = ClientStream(call, method, str(self._address), self._frame_bytes_max)
        self._streams[stream] = channel
        return stream

    async def _answered(self, channel: grpc.aio.Channel, method: str) -> Call:
        call = self._call(channel, method, wait_for_ready=True)
        try:
            await self._until_answered(call, channel)
        except BaseException:
            call.cancel()
            raise
        return call

    def _dial(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self._target, options=self._options)

    def _call(self, channel: grpc.aio.Channel, method: str, *, wait_for_ready: bool) -> Call:
        call: Call = channel.stream_stream(method)(metadata=self._metadata, wait_for_ready=wait_for_ready)
        return call

    async def _until_answered(self, call: Call, _: grpc.aio.Channel) -> None:
        await call.initial_metadata()

    async def _complaint(self, channel: grpc.aio.Channel) -> str:
        """What the connection has failed of, to be said behind `Unreachable`."""
        if channel.get_state() is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return ""
        heard = await self._last_error(channel)
        if not heard or any(sign in heard for sign in NOT_THERE):
            return ""
        return f"; the last attempt failed ({heard}): is it a port of tcp://, or one with TLS?"

    async def _last_error(self, channel: grpc.aio.Channel) -> str:
        """Of a connection that fails: found out by a call that does not wait for it."""
        probe = self._call(channel, PROBE, wait_for_ready=False)
        return (await probe.details() or "").rpartition("last error: ")[2]

    @override
    def leave(self, stream: Stream) -> None:
        channel = self._streams.get(stream)
        if channel is not None:
            self._leave(channel)

    def _leave(self, channel: grpc.aio.Channel) -> None:
        """A connection that answers nothing is found out by gRPC's own probes only after a while; one that is lost, at once."""
        if channel is self._channel and channel.get_state() is grpc.ChannelConnectivity.READY:
            self._left.append(channel)
            self._channel = None

    async def _close_left(self) -> None:
        used = {id(channel) for stream, channel in self._streams.items() if not stream.is_over}
        unused = [channel for channel in self._left if id(channel) not in used]
        self._left = [channel for channel in self._left if id(channel) in used]
        for channel in unused:
            await channel.close()

    async def _check(self, call: Call) -> None:
        """Unreachable if the call is over before it was accepted, AccessDenied if it was denied."""
        if (denial := await denied(call)) is not None:
            raise denial
        if call.done() and (code := await call.code()) not in ENDED_AFTER_ACCEPT:
            raise Unreachable(f"{self._address} does not take the stream: {await call.details()} ({code.name})")

    @override
    async def close(self) -> None:
        self._closed = True
        for stream in list(self._streams):
            stream.cut("the channel was closed")
        for channel in (*self._left, *([] if self._channel is None else [self._channel])):
            await channel.close()


async def lost_on_its_way(call: Call) -> bool:
    """Whether a connection that broke has taken the call along. (gRPC itself makes it again only if it was not sent yet.)"""
    return call.done() and await call.code() is grpc.StatusCode.UNAVAILABLE


def target(address: Address) -> str:
    """The address as gRPC writes it.

    Raises:
        AddressError: it is neither host:port nor an absolute path.
    """
    path = socket_path(address)
    if path is not None:
        return f"unix:{path}"
    if host_and_port(address.place) is None:
        schemes = f"{address.scheme}://host:port, with a port up to {PORT_MAX}, nor grpc:///absolute/path.sock"
        raise AddressError(f"{address} is neither {schemes}")
    return address.place


def socket_path(address: Address) -> Path | None:
    """The path of a Unix socket; None for TCP."""
    if not address.place.startswith("/"):
        return None
    if len(os.fsencode(address.place)) > SOCKET_PATH_BYTES_MAX:
        raise AddressError(f"{address}: the path of a Unix socket may have {SOCKET_PATH_BYTES_MAX} bytes; use a shorter one")
    return Path(address.place)


def is_loopback(address: Address) -> bool:
    """Whether only this machine can reach it."""
    host = address.place.rpartition(":")[0].strip("[]")
    if socket_path(address) is not None or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _check_port(address: Address) -> None:
    """Find out whether one can listen there. (gRPC would say why not on stderr, and nowhere else.)"""
    for bound in await bind(address):
        bound.close()


def _reclaim(path: Path) -> None:
    """Remove the socket file of a process that is gone. (gRPC would remove that of a living one, too.)"""
    if not path.parent.is_dir():
        raise AddressError(f"cannot listen at {path}: the folder {path.parent} does not exist; create it")
    if not path.exists():
        return
    if not path.is_socket():
        raise AddressError(f"cannot listen at {path}: it is a file, and not a socket; choose another path")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # it listens, and is busy
            pass
    raise AddressError(f"cannot listen at {path}: it is in use; stop what listens there, or choose another path")
