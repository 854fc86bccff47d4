"""The bytes of tcp:// and tcps://, at either end, and in any pieces."""

from __future__ import annotations

from contextlib import suppress

from fedactors.errors import RemoteProtocolError
from fedactors.transport.base import Frame
from fedactors.transport.frames import (
    PREAMBLE,
    SMALL_BYTES,
    FrameReader,
    Kind,
    Opening,
    client_rules,
    decode_opening,
    decode_why,
    encode_opening,
    header,
    listener_rules,
)

FRAME_BYTES_MAX = SMALL_BYTES + 1000
RULES = (listener_rules(FRAME_BYTES_MAX), client_rules(FRAME_BYTES_MAX))


def framed(*sent: tuple[Kind, bytes]) -> bytes:
    return PREAMBLE + b"".join(header(kind, len(body)) + body for kind, body in sent)


OPENING = encode_opening(Opening("/x/Y", "secret"))
SEEDS = [
    b"\x00\x07" + framed((Kind.OPEN, OPENING), (Kind.DATA, b"hello"), (Kind.DATA, b""), (Kind.FINISH, b"")),
    b"\x01\x40" + framed((Kind.OPENED, b""), (Kind.DATA, b"hello"), (Kind.FINISH, b""), (Kind.END, b"")),
    b"\x01\xff" + framed((Kind.DENY, b"you may not")),
    b"\x00\xff" + framed((Kind.OPEN, OPENING), (Kind.DATA, bytes(SMALL_BYTES + 1)), (Kind.CUT, b"enough")),
    b"\x00\xff" + framed((Kind.OPEN, OPENING)) + header(Kind.DATA, SMALL_BYTES + 1) + b"half",
    b"\x00\xff" + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def check(data: bytes) -> None:
    """The first byte says whose end it is, the second one how long the pieces are; cut in two ways, the same frames come."""
    if len(data) < 2:
        return
    rules, length = RULES[data[0] % len(RULES)], 1 + data[1]
    frames, error = _read(FrameReader(rules), data[2:], length)
    assert (frames, error) == _read(FrameReader(rules), data[2:], len(data))
    for kind, body in frames:
        assert len(body) <= FRAME_BYTES_MAX
        with suppress(RemoteProtocolError):
            assert kind is not Kind.OPEN or decode_opening(body).method
        assert kind not in (Kind.CUT, Kind.DENY) or decode_why(body)


def _read(reader: FrameReader, data: bytes, length: int) -> tuple[list[tuple[Kind, Frame]], str]:
    """The frames, and what is wrong with what follows them."""
    frames: list[tuple[Kind, Frame]] = []
    try:
        while data:
            place = reader.place
            piece = data[: length if place is None else min(length, len(place))]
            data = data[len(piece) :]
            if place is None:
                for found in reader.feed(memoryview(piece)):
                    frames.append(found)  # noqa: PERF402  # it may raise on the way
            else:
                place[: len(piece)] = piece
                frames.extend(reader.placed(len(piece)))
    except RemoteProtocolError as error:
        return frames, type(error).__name__
    return frames, ""
