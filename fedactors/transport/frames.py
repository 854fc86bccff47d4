"""The bytes of `tcp://` and `tcps://`, apart from every socket: frames written, and read from pieces of any length.

A stream is a connection. Each side begins with a preamble, then sends frames; numbers are little-endian.

    client                                          listener
    preamble  OPEN [method, credential]     ─────▶
                                            ◀─────  preamble  OPENED        or DENY why, or CUT why
    DATA ... FINISH                         ─────▶                          each side finishes its own half
                                            ◀─────  DATA ... FINISH ... END

    preamble    "fedactr" ┆ version: 1 byte, 1
    frame       kind: 1 byte ┆ length of the body: uint32 ┆ body

    kind        sent by     body, its greatest length
    1  OPEN     client      msgpack: [method, credential], both texts; OPENING_BYTES_MAX
    2  OPENED   listener    empty
    3  DATA     both        a frame of the application's; frame_bytes_max
    4  FINISH   both        empty: no DATA will follow. In band, since TLS has no half-closed connection
    5  END      listener    empty: its `accept` has returned; nothing follows, and nothing more is read
    6  CUT      both        UTF-8, why; WHY_BYTES_MAX. Nothing follows, and nothing more is read
    7  DENY     listener    as CUT: the client may not have what it asks for

Who has read END, CUT or DENY closes the connection; who has sent one of them reads on, into nothing, until then: closing on
unread bytes would be a reset, which may overtake what was sent last. An end of file before any of them is a loss.

A length is compared with the greatest one before anything is set aside for it, and a kind with those that may come at this
point; whatever breaks a rule is a RemoteProtocolError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import msgpack
import numpy as np

from fedactors.errors import LocalProtocolError, RemoteProtocolError
from fedactors.transport.base import Frame

VERSION = 1
MAGIC = b"fedactr"
PREAMBLE = MAGIC + bytes([VERSION])
HEADER = struct.Struct("<BI")
SMALL_BYTES = 32 * 1024
"""Of a body: up to this length it is cut out of what was read, as `bytes`; a longer one is received in place, as `memoryview`."""
OPENING_BYTES_MAX = 8 * 1024
"""Of an OPEN: a method and a token."""
WHY_BYTES_MAX = 4 * 1024


class Kind(IntEnum):
    """Of a frame."""

    OPEN = 1
    OPENED = 2
    DATA = 3
    FINISH = 4
    END = 5
    CUT = 6
    DENY = 7


Taken: TypeAlias = Mapping[int, tuple[Kind, int]]
"""By the number of a kind that may come: the kind, and its greatest length."""


class Rules(NamedTuple):
    """What one side takes: at first, once the stream is open, and after the peer's FINISH."""

    at_first: Taken
    when_open: Taken
    when_finished: Taken


class ForeignProtocolError(RemoteProtocolError):
    """The peer speaks something else."""


def listener_rules(frame_bytes_max: int) -> Rules:
    """What a listener takes from a client."""
    cut = {Kind.CUT: WHY_BYTES_MAX}
    return _rules({Kind.OPEN: OPENING_BYTES_MAX}, {Kind.DATA: frame_bytes_max, Kind.FINISH: 0, **cut}, cut)


def client_rules(frame_bytes_max: int) -> Rules:
    """What a client takes from a listener."""
    ends = {Kind.CUT: WHY_BYTES_MAX, Kind.DENY: WHY_BYTES_MAX}
    last = {Kind.END: 0, **ends}
    return _rules({Kind.OPENED: 0, **ends}, {Kind.DATA: frame_bytes_max, Kind.FINISH: 0, **last}, last)


def _rules(*stages: Mapping[Kind, int]) -> Rules:
    return Rules(*(MappingProxyType({int(kind): (kind, most) for kind, most in stage.items()}) for stage in stages))


def header(kind: Kind, body_bytes: int) -> bytes:
    """What precedes a body."""
    return HEADER.pack(kind, body_bytes)


def encode_why(why: str) -> bytes:
    """The body of a CUT or a DENY, shortened if need be."""
    return why.encode("utf-8", "replace")[:WHY_BYTES_MAX]


def decode_why(body: Frame) -> str:
    """The inverse of `encode_why`; what is no text in UTF-8 is replaced."""
    return bytes(body).decode("utf-8", "replace") or "the peer has ended the stream and gave no reason"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a client asks for, and the bearer token that it shows; empty where it shows none."""

    method: str
    credential: str = field(default="", repr=False)


def encode_opening(opening: Opening) -> bytes:
    """The body of an OPEN.

    Raises:
        LocalProtocolError: it is too long.
    """
    body: bytes = msgpack.packb([opening.method, opening.credential])
    if len(body) > OPENING_BYTES_MAX:
        raise LocalProtocolError(f"a method and a token of {len(body):,} bytes; at most {OPENING_BYTES_MAX:,} may be sent")
    return body


def decode_opening(body: Frame) -> Opening:
    """The inverse of `encode_opening`.

    Raises:
        RemoteProtocolError: it is none.
    """
    try:
        found = msgpack.unpackb(body)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"an opening of {len(body):,} bytes is no msgpack ({type(error).__name__})") from error
    match found:
        case [str(method), str(credential)] if method:
            return Opening(method, credential)
        case _:
            raise RemoteProtocolError("an opening is to be [method, credential], two texts")


class FrameReader:
    """Bytes in, frames out: however they are cut into pieces, the same frames come.

    It keeps what a read leaves of a small frame, and the memory of one large frame; neither while nothing is under way.
    """

    __slots__ = ("_body", "_filled_bytes", "_greeted", "_kind", "_rest", "_rules", "_taken")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._taken = rules.at_first
        self._greeted = False
        self._rest = b""
        self._kind = Kind.DATA
        self._body: memoryview | None = None
        self._filled_bytes = 0

    @property
    def place(self) -> memoryview | None:
        """Where the next bytes of a large frame belong, at least one; None while none is under way."""
        return None if self._body is None else self._body[self._filled_bytes :]

    def placed(self, count: int) -> Iterator[tuple[Kind, Frame]]:
        """So many bytes are in `place` now: the frame, if that was its rest."""
        assert self._body is not None, "nothing is being received in place"
        self._filled_bytes += count
        if self._filled_bytes == len(self._body):
            body, self._body = self._body, None
            yield self._kind, body.toreadonly()

    def feed(self, data: memoryview) -> Iterator[tuple[Kind, Frame]]:
        """The frames that these bytes complete; nothing of `data` is kept. Not to be called while there is a `place`.

        Raises:
            ForeignProtocolError: the peer speaks something else.
            RemoteProtocolError: it breaks a rule; frames before that have been given.
        """
        assert self._body is None, "a large frame is being received in place"
        if self._rest:
            data, self._rest = memoryview(self._rest + data), b""
        at = 0
        if not self._greeted:
            if not self._greets(data):
                self._rest = bytes(data)
                return
            self._greeted, at = True, len(PREAMBLE)
        while len(data) - at >= HEADER.size:
            begin = at + HEADER.size
            kind, length = self._announced(*HEADER.unpack_from(data, at))
            if length > SMALL_BYTES:
                self._kind, self._body, self._filled_bytes = kind, np.empty(length, np.uint8).data, 0
                at = begin + min(length, len(data) - begin)
                self._body[: at - begin] = data[begin:at]
                yield from self.placed(at - begin)
            elif begin + length > len(data):
                break
            else:
                at = begin + length
                self._proceed(kind)
                yield kind, bytes(data[begin:at])
        self._rest = bytes(data[at:])

    def _greets(self, data: memoryview) -> bool:
        """Whether a whole preamble is here; what is none is refused by its first byte that differs."""
        begins = data[: len(PREAMBLE)]
        if begins != PREAMBLE[: len(begins)]:
            raise ForeignProtocolError(spoken(bytes(begins)))
        return len(begins) == len(PREAMBLE)

    def _announced(self, number: int, length: int) -> tuple[Kind, int]:
        taken = self._taken.get(number)
        if taken is None:
            raise RemoteProtocolError(f"a frame of kind {_named(number)} came, where {_listed(self._taken)} may come")
        kind, longest = taken
        if length > longest:
            raise RemoteProtocolError(f"a {kind.name} frame of {length:,} bytes is announced; at most {longest:,} are taken")
        return kind, length

    def _proceed(self, kind: Kind) -> None:
        if kind in (Kind.OPEN, Kind.OPENED):
            self._taken = self._rules.when_open
        elif kind is Kind.FINISH:
            self._taken = self._rules.when_finished


def spoken(begins: bytes) -> str:
    """What a peer that does not begin with the preamble seems to speak."""
    if begins.startswith(MAGIC):
        version = begins[len(MAGIC)]
        return f"it speaks version {version} of this transport, and this side version {VERSION}: install the same fedactors"
    if begins.startswith((b"PRI", b"\0\0")):
        return "it speaks HTTP/2, as gRPC does: write grpc:// in the address"
    if begins[:1] in (b"\x15", b"\x16"):
        return "it speaks TLS: write tcps:// in the address, or grpcs://"
    return f"it speaks another protocol, which begins with {begins!r}"


def _named(number: int) -> str:
    return Kind(number).name if Kind.OPEN <= number <= Kind.DENY else str(number)


def _listed(taken: Taken) -> str:
    return ", ".join(kind.name for kind, _ in taken.values())
