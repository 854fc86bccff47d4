"""How many messages a frame would be read into, counted before protobuf makes them: an empty one takes thirty times its bytes.

Only what is large is looked at; a frame in which a field of ours could not stand is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedactors.errors import RemoteProtocolError
from fedactors.protocol.chunks import read_varint

SMALL_BYTES = 64 * 1024
"""Whatever stands in a frame of this length takes little memory."""


def refuse_many(what: str, frame: bytes | memoryview, path: Sequence[int], count_max: int) -> None:
    """Refuse a frame with too many messages of one kind.

    Args:
        what: they are called.
        frame: a protobuf message.
        path: the number of the field in it, of the field in that, and so on; the last one is what is counted.
        count_max: that are taken.

    Raises:
        RemoteProtocolError: there are more, or the frame is no message.
    """
    if len(frame) <= SMALL_BYTES:
        return
    try:
        for count, _ in enumerate(_inner(memoryview(frame), path), 1):
            if count > count_max:
                raise RemoteProtocolError(f"more than {count_max:,} {what} are announced")
    except IndexError:
        raise RemoteProtocolError(f"a frame of {len(frame):,} bytes is no message") from None


def _inner(message: memoryview, path: Sequence[int]) -> Iterator[memoryview]:
    for field in _fields(message, path[0]):
        if len(path) == 1:
            yield field
        else:
            yield from _inner(field, path[1:])


def _fields(message: memoryview, number: int) -> Iterator[memoryview]:
    """Each field of this number that has a length; a field may come more than once, and protobuf joins what it holds."""
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        match tag & 7:
            case 0:
                _, at = read_varint(message, at)
            case 1:
                at += 8
            case 2:
                length, at = read_varint(message, at)
                if tag >> 3 == number:
                    yield message[at : at + length]
                at += length
            case 5:
                at += 4
            case _:  # groups: no message of ours has one
                raise IndexError
