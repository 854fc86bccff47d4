"""Moving frames of bytes between two processes: the interface of every transport.

A transport knows neither models nor actors nor messages. A client opens *streams* to a listener, each for a *method* (a name
such as "/fedactors.v1.Federation/Session"); a stream carries whole frames both ways, in order, with backpressure, and each
side finishes its own half.

    client                                        listener
    channel = transport.connect(address)          await transport.listen(address, accept) -> Listener
    stream  = channel.open(method)        ═════▶  await accept(stream)      one coroutine for each stream
    await stream.send(frame)              ─────▶  await stream.receive()
    await stream.receive()                ◀─────  await stream.send(frame)
    await stream.finish()                 ─────▶  EndOfStream               returns: the stream ends in good order
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from fedactors.errors import AddressError

FRAME_BYTES_MAX = 8 * 1024 * 1024
"""A longer frame is refused by both sides; weights travel in chunks far below it."""


Frame: TypeAlias = bytes | memoryview
"""What a stream carries: contiguous bytes, which do not change. A memoryview is one of bytes (format "B") and read-only; a
transport gives one where it has received a large frame in place, so that it need not be copied."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or connect: `scheme://place`.

    Attributes:
        scheme: the transport's name, as registered in the entry-point group `fedactors.transport`.
        place: what the transport makes of it; "host:port", or for grpc an absolute path, of a Unix socket.
    """

    scheme: str
    place: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `scheme://place`.

        Raises:
            AddressError: it has another form.
        """
        scheme, separator, place = text.partition("://")
        if not separator or not scheme or not place:
            raise AddressError(
                f"address {text!r} is not of the form scheme://place, as in grpc://127.0.0.1:4450 or grpc:///run/fed.sock"
            )
        return cls(scheme, place)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}"


class Stream(ABC):
    """One conversation in whole frames. One task sends and one task receives at a time; both may be the same.

    What `receive` returns may be kept; what `send` is given must not change any more. A stream that was cut, and one whose peer
    died, raises StreamClosed in both verbs; one whose peer finished raises EndOfStream in `receive` once every frame has been
    received.
    """

    method: str
    peer: str
    """Where the other side is, for people to read."""
    credential: str = ""
    """The bearer token that the client has shown, at the listener's end; empty where it showed none. Never logged."""
    identity: str = ""
    """The URI in the client's certificate, which the transport has verified, at the listener's end; empty where there is none."""
    is_local: bool = False
    """At the listener's end: the client is in this process, or has opened a Unix socket that its owner alone can open."""

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """It is known here that nothing can be sent any more and nothing more will come."""

    @abstractmethod
    async def send(self, frame: Frame) -> None:
        """Hand over one frame; waits while the peer does not keep up.

        Cancelled, the frame may have been sent or not, and the stream may have been cut.

        Raises:
            StreamClosed: it cannot be delivered. (A frame sent before may be lost too: only an answer proves delivery.)
            LocalProtocolError: the frame is longer than FRAME_BYTES_MAX, or this side has finished.
        """

    @abstractmethod
    async def receive(self) -> Frame:
        """The next frame.

        Cancelling it loses no frame, so `asyncio.timeout` around it is allowed.

        Raises:
            EndOfStream: the peer has finished.
            StreamClosed: the stream was cut.
        """

    @abstractmethod
    async def finish(self) -> None:
        """Send nothing more; receiving goes on. Idempotent.

        A client may see the end of the listener's half only when `accept` returns.
        """

    @abstractmethod
    def cut(self, why: str) -> None:
        """End the stream at once, both ways; nothing is flushed. Idempotent, and no error on a stream that is over."""

    @abstractmethod
    def deny(self, why: str) -> None:
        """As `cut`, at the listener's end, where the client may not have what it asks for: its verbs raise AccessDenied."""


Accept: TypeAlias = Callable[[Stream], Awaitable[None]]
"""Serves one stream from its opening to its end.

When it returns, the stream ends in good order; when it raises AccessDenied, the stream is denied; by any other error, it is cut.
"""


Admit: TypeAlias = Callable[[Stream], None]
"""Asked before a stream is opened, at once; raises AccessDenied where it must not be: its client hears of nothing else."""


def everybody(_: Stream) -> None:
    """Admits every stream."""


class Listener(ABC):
    """A place where streams arrive."""

    address: Address
    """Where it can be reached: the port is the real one where 0 was asked for."""

    @abstractmethod
    async def close(self, grace_s: float) -> None:
        """Take no new streams, give the open ones `grace_s` seconds to end, then cut them. Idempotent."""


class Channel(ABC):
    """A client's way to one listener. Cheap to make; connects when the first stream is opened, and again after a loss."""

    @abstractmethod
    def leave(self, stream: Stream) -> None:
        """Open no more streams on the connection of this one, which seems dead: nothing comes of it. Those that are open go on.

        Without effect where another connection is used already, and where it is known here that the connection is lost.
        """

    @abstractmethod
    async def open(self, method: str, *, timeout_s: float) -> Stream:
        """Open a stream for a method.

        Raises:
            Unreachable: nobody answered within `timeout_s`.
            AccessDenied: the listener denies it already, or is not whom this side trusts.
        """

    @abstractmethod
    async def close(self) -> None:
        """Cut every stream and let go of the connection. Idempotent."""


@dataclass(frozen=True, slots=True)
class Transport(ABC):
    """A way to move frames. Implementations are frozen dataclasses whose fields are their options."""

    frame_bytes_max: int = field(default=FRAME_BYTES_MAX, kw_only=True)

    def check(self) -> None:  # noqa: B027  # most need nothing
        """Whether what its options name is there and can be used.

        Raises:
            AddressError: it is not.
        """

    @abstractmethod
    async def listen(self, address: Address, accept: Accept, admit: Admit = everybody) -> Listener:
        """Start to take streams at an address.

        Args:
            address: the place.
            accept: serves a stream that was admitted.
            admit: whether a stream is opened at all.

        Raises:
            AddressError: it is malformed, in use, or may not be used; the message says which and what to do.
        """

    @abstractmethod
    def connect(self, address: Address, *, credential: str = "") -> Channel:
        """A channel to a listener; nothing is sent yet.

        Args:
            address: the listener's.
            credential: a bearer token, shown with each stream.

        Raises:
            AddressError: the address is malformed.
        """
