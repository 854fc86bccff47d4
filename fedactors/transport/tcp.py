"""Frames over plain TCP: `tcp://host:port`. For one machine, a cluster, a LAN; where proxies are on the way, there is `grpc`.

A stream is a connection of its own: its order, its backpressure and its fairness are TCP's, and no stream can hold up another.
What is on the wire is in `frames`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from typing_extensions import override

from fedactors.errors import AccessDenied, AddressError, LocalProtocolError, RemoteProtocolError, StreamClosed, Unreachable
from fedactors.transport.base import Accept, Address, Admit, Channel, Listener, Stream, Transport, everybody
from fedactors.transport.frames import (
    Kind,
    Opening,
    Rules,
    client_rules,
    decode_opening,
    encode_opening,
    listener_rules,
)
from fedactors.transport.ports import PORT_MAX, bind, host_and_port
from fedactors.transport.serving import ACCEPT_END_S, serve
from fedactors.transport.tcp_streams import ServedStream, TcpStream
from fedactors.transport.tcp_wire import GONE, Wire, Wires

BACKLOG = 1024
"""Connections that wait to be accepted: thousands of learners may come at once."""
OPENINGS_MAX = 2048
"""Connections of a listener that have not asked for anything yet: of more, the newest are closed at once, and try again."""
RECONNECT_FIRST_S = 0.2
ATTEMPT_S = 10.0
"""One attempt to open a stream, from the first packet to the listener's answer."""
TAKE_AGAIN_S = 0.5
"""After a connection that could not be taken."""
CLOSE_S = 0.5
"""What both sides have been told is over may take so long to end before it is let go."""

log = logging.getLogger(__name__)

Context: TypeAlias = Callable[[], ssl.SSLContext | None]
"""Asked for each connection: TLS by this context is beneath its frames; None: nothing."""


@dataclass(frozen=True, slots=True)
class TcpTransport(Transport):
    """TCP without TLS; `tcps` is with it.

    Attributes:
        keepalive_s: the kernel probes a connection on which nothing has come for so long, and then this often.
        stalled_s: the kernel ends a connection whose peer has acknowledged nothing for so long, neither data nor a probe, or has
            made no room for what waits to be sent.
        reconnect_max_s: longest time between two attempts to connect; it begins at RECONNECT_FIRST_S and grows, with jitter.
        handshake_s: a listener gives a new connection so long to say what it wants.
    """

    keepalive_s: float = 10.0
    stalled_s: float = 60.0
    reconnect_max_s: float = 5.0
    handshake_s: float = 10.0

    @override
    async def listen(self, address: Address, accept: Accept, admit: Admit = everybody) -> TcpListener:
        check_address(address)
        return await self._listen(address, accept, admit, lambda: None)

    async def _listen(self, address: Address, accept: Accept, admit: Admit, context: Context) -> TcpListener:
        listener = TcpListener(self, accept, admit, context)
        bound = await bind(address)
        port = bound[0].getsockname()[1]
        try:
            listener.begin(bound)
        except OSError as error:
            raise AddressError(f"cannot listen at {address}: {error}; choose another port (0: any free one)") from error
        listener.address = Address(address.scheme, f"{address.place.rpartition(':')[0]}:{port}")
        return listener

    @override
    def connect(self, address: Address, *, credential: str = "") -> TcpChannel:
        check_address(address)
        return TcpChannel(address, self, credential)

    def tune(self, wire: Wire) -> None:
        """Set the socket's options, as far as this platform has them."""
        plain: socket.socket = wire.transport.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        probe_s = max(round(self.keepalive_s), 1)
        for name, value in (
            ("TCP_NODELAY", 1),
            ("TCP_KEEPIDLE", probe_s),
            ("TCP_KEEPINTVL", probe_s),
            ("TCP_KEEPCNT", max(round(self.stalled_s / probe_s), 1)),
            ("TCP_USER_TIMEOUT", max(round(self.stalled_s * 1000), 1)),
        ):
            if (option := getattr(socket, name, None)) is not None:
                plain.setsockopt(socket.IPPROTO_TCP, option, value)


def check_address(address: Address) -> None:
    """AddressError where it is not host:port."""
    if address.place.startswith("/"):
        raise AddressError(f"{address}: a Unix socket is served by gRPC; write grpc://{address.place}")
    if host_and_port(address.place) is None:
        raise AddressError(f"{address} is not {address.scheme}://host:port, with a port up to {PORT_MAX}")


class TcpListener(Listener):
    """Sockets that listen; runs one task for each connection."""

    def __init__(self, transport: TcpTransport, accept: Accept, admit: Admit, context: Context) -> None:
        self._transport = transport
        self._rules: Rules = listener_rules(transport.frame_bytes_max)
        self._accept = accept
        self._admit = admit
        self._context = context
        self._taking: dict[asyncio.Task[None], socket.socket] = {}
        self._wires = Wires()
        self._lives: set[asyncio.Task[None]] = set()
        self._openings = 0

    def begin(self, bound: list[socket.socket]) -> None:
        """Listen on these, which are this listener's from now on.

        Raises:
            OSError: one of them cannot.
        """
        try:
            for one in bound:
                one.setblocking(False)
                one.listen(BACKLOG)
        except OSError:
            for one in bound:
                one.close()
            raise
        loop = asyncio.get_running_loop()
        self._taking = {loop.create_task(self._take(one), name="take connections"): one for one in bound}

    async def _take(self, listening: socket.socket) -> None:
        """Take connections, one after the other."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                plain, place = await loop.sock_accept(listening)
            except OSError as error:  # no descriptor is left, or who called is gone
                log.warning("connection_not_taken why=%s", error)
                await asyncio.sleep(TAKE_AGAIN_S)
                continue
            if self._openings < OPENINGS_MAX:
                self._openings += 1
                life = loop.create_task(self._live(plain, _written(place)), name="serve a connection")
                self._lives.add(life)
                life.add_done_callback(self._lives.discard)
            else:
                plain.close()
            await asyncio.sleep(0)  # those that are there come first

    async def _live(self, plain: socket.socket, peer: str) -> None:
        """One connection from its beginning to its end."""
        wire = Wire(self._rules, self._wires)
        try:
            stream = await self._opened(wire, plain, peer)
            if stream is not None and self._admitted(stream, wire):
                await self._serve(stream)
        except BaseException:
            wire.abort()
            raise

    async def _opened(self, wire: Wire, plain: socket.socket, peer: str) -> ServedStream | None:
        """A stream that is asked for; None where there is none, and the client has been told as far as it can be."""
        try:
            async with asyncio.timeout(self._transport.handshake_s):
                await asyncio.get_running_loop().connect_accepted_socket(lambda: wire, plain, ssl=self._context())
                self._transport.tune(wire)
                opening = decode_opening(await wire.receive())
        except (StreamClosed, RemoteProtocolError, OSError) as error:  # a TimeoutError is an OSError
            late = f"nothing was asked for within {self._transport.handshake_s:g} s"
            why = late if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            log.debug("connection_refused peer=%s why=%s", peer, why)
            wire.cut(why)
            return None
        finally:
            self._openings -= 1
        stream = ServedStream(wire, opening.method, peer, self._transport.frame_bytes_max)
        stream.credential, stream.identity = opening.credential, _identity(wire)
        return stream

    def _admitted(self, stream: ServedStream, wire: Wire) -> bool:
        try:
            self._admit(stream)
        except AccessDenied as denial:
            stream.deny(str(denial))
            return False
        if wire.over is None:
            wire.write(Kind.OPENED)
        return True

    async def _serve(self, stream: ServedStream) -> None:
        try:
            why = await serve(self._accept, stream)
        except asyncio.CancelledError:
            stream.cut("the listener was closed")
            raise
        if why is None:
            stream.end()
        else:
            stream.cut(why)

    @override
    async def close(self, grace_s: float) -> None:
        await self._take_no_more()
        await self._wait(grace_s)
        self._wires.cut("the listener was closed")
        await self._wait(ACCEPT_END_S)
        for life in self._lives:
            life.cancel()
        await self._wait(None)
        await self._wires.end(CLOSE_S)

    async def _take_no_more(self) -> None:
        taking, self._taking = self._taking, {}
        for task in taking:
            task.cancel()
        if taking:
            await asyncio.wait(taking)
        for listening in taking.values():
            listening.close()

    async def _wait(self, timeout_s: float | None) -> None:
        if self._lives:
            await asyncio.wait(list(self._lives), timeout=timeout_s)


class TcpChannel(Channel):
    """Opens each stream by a connection of its own."""

    def __init__(self, address: Address, transport: TcpTransport, credential: str) -> None:
        named = host_and_port(address.place)
        assert named is not None, f"{address} was to be refused"
        self._address = address
        self._place = named
        self._transport = transport
        self._rules = client_rules(transport.frame_bytes_max)
        self._credential = credential
        self._wires = Wires()
        self._closed = False

    @override
    def leave(self, stream: Stream) -> None:
        """Nothing is to be left: the next stream has another connection anyhow."""

    @override
    async def open(self, method: str, *, timeout_s: float) -> TcpStream:
        if self._closed:
            raise LocalProtocolError(f"the channel to {self._address} is closed")
        opening, failure = encode_opening(Opening(method, self._credential)), ""
        try:
            async with asyncio.timeout(timeout_s):
                for pause_s in _pauses(self._transport.reconnect_max_s):
                    try:
                        wire = await self._attempt(opening)
                        return TcpStream(wire, method, str(self._address), self._transport.frame_bytes_max)
                    except AccessDenied:
                        raise
                    except (StreamClosed, OSError) as error:
                        failure = f"; the last attempt failed ({_told(error)})"
                    await asyncio.sleep(pause_s)
        except TimeoutError:
            pass
        raise Unreachable(f"nobody answers at {self._address}; waited for {timeout_s:g} s{failure}")

    async def _attempt(self, opening: bytes) -> Wire:
        """A connection that the listener has taken.

        Raises:
            AccessDenied: it is denied, or this side does not trust the listener.
            Unreachable: the listener speaks something else; trying again changes nothing.
            StreamClosed, OSError: it failed.
        """
        wire = Wire(self._rules, self._wires)
        try:
            async with asyncio.timeout(ATTEMPT_S):
                await self._connect(wire)
                self._transport.tune(wire)
                wire.write(Kind.OPEN, opening)
                await wire.receive()
        except BaseException as error:
            wire.abort()
            if wire.foreign is not None:
                raise Unreachable(f"{self._address} does not take the stream: {wire.foreign}") from None
            if str(error).startswith(GONE):
                raise StreamClosed(f"it hung up without a word: {self._hint}") from error
            raise
        return wire

    async def _connect(self, wire: Wire) -> None:
        """Make the connection; OSError where it fails."""
        host, port = self._place
        await asyncio.get_running_loop().create_connection(lambda: wire, host, port)

    @property
    def _hint(self) -> str:
        """What may be the matter where a listener hangs up without a word."""
        return "is it a port with TLS (tcps://)?"

    @override
    async def close(self) -> None:
        self._closed = True
        self._wires.cut("the channel was closed")
        await self._wires.end(CLOSE_S)


def _pauses(longest_s: float) -> Iterator[float]:
    """Between attempts: longer and longer ones, of which chance takes up to a half, so that not all come back at once."""
    pause_s = min(RECONNECT_FIRST_S, longest_s)
    while True:
        yield pause_s * random.uniform(0.5, 1.0)  # noqa: S311  # nothing secret
        pause_s = min(2 * pause_s, longest_s)


def _told(error: Exception) -> str:
    """What an attempt has failed of."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)  # asyncio's own words name the place once more
    return str(error) or f"no answer within {ATTEMPT_S:g} s"


def _written(place: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """Host and port of a peer, for people to read."""
    host, port = place[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _identity(wire: Wire) -> str:
    """The URI in the client's certificate, which TLS has verified; empty where there is none, or more than one."""
    certificate = wire.transport.get_extra_info("peercert") or {}
    uris = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
    return uris[0] if len(uris) == 1 else ""
