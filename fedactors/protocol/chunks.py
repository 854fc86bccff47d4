"""One piece of a buffer as a frame.

The wire is protobuf's (BlobFrame.chunk and PushFrame.chunk, which are the same bytes), joined by hand: `data` is the last field,
so that writing copies it once and reading not at all.

    0x7a length  ┆  0x08 offset  0x11 xxh3(8 bytes)  0x7a length data
    field 15     ┆  Chunk; a field that is zero or empty is left out

A chunk may follow the header or the opening of its blob in one frame: protobuf joins fields by writing one after the other.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

import xxhash
from google.protobuf.message import DecodeError

from fedactors.errors import RemoteProtocolError
from fedactors.protocol._pb import federation_pb2 as pb
from fedactors.transport import Frame

CHUNK_BYTES = 1024 * 1024
"""The default: smaller ones cost more per byte, larger ones hold up the event loop."""

_TAG_CHUNK = 0x7A
_TAG_OFFSET = 0x08
_TAG_XXH3 = 0x11
_TAG_DATA = 0x7A
_FIXED64 = struct.Struct("<Q")

Piece: TypeAlias = tuple[int, int, memoryview]
"""(offset, xxh3, data) of a chunk."""


def encode_chunk(offset: int, data: memoryview) -> bytes:
    """The frame of `data`, which starts at byte `offset` of the buffer."""
    return write_chunk(offset, xxhash.xxh3_64_intdigest(data), data)


def write_chunk(offset: int, xxh3: int, data: memoryview) -> bytes:
    """The frame for these three fields."""
    head = bytearray()
    if offset:
        head.append(_TAG_OFFSET)
        _write_varint(head, offset)
    if xxh3:
        head.append(_TAG_XXH3)
        head += _FIXED64.pack(xxh3)
    if len(data):
        head.append(_TAG_DATA)
        _write_varint(head, len(data))
    outer = bytearray((_TAG_CHUNK,))
    _write_varint(outer, len(head) + len(data))
    return b"".join((outer, head, data))


def split_first(frame: Frame) -> tuple[Frame, memoryview]:
    """A frame's first field (a header, an opening) as a frame by itself, and the chunk behind it, a view; empty if none is."""
    try:
        length, at = read_varint(frame, 1)
    except IndexError:
        return frame, memoryview(b"")
    return frame[: at + length], memoryview(frame)[at + length :]


def decode_chunk(frame: Frame) -> tuple[int, memoryview]:
    """(offset, data) of a chunk's frame; `data` is a view of the frame.

    Raises:
        RemoteProtocolError: it is no chunk, or its checksum is wrong.
    """
    piece = _read_joined(frame)
    offset, xxh3, data = _read_any(frame) if piece is None else piece
    if xxhash.xxh3_64_intdigest(data) != xxh3:
        raise RemoteProtocolError(f"the chunk at byte {offset:,} was changed on its way: its checksum is wrong")
    return offset, data


def _read_joined(frame: Frame) -> Piece | None:
    """A frame in the order that `write_chunk` and protobuf's own writers give; None for every other one."""
    end = len(frame)
    try:
        if frame[0] != _TAG_CHUNK:
            return None
        length, at = read_varint(frame, 1)
        if at + length != end:
            return None
        offset = xxh3 = 0
        if frame[at] == _TAG_OFFSET:
            offset, at = read_varint(frame, at + 1)
        if frame[at] == _TAG_XXH3:
            xxh3, at = _FIXED64.unpack_from(frame, at + 1)[0], at + 9
        if frame[at] != _TAG_DATA:
            return None
        length, at = read_varint(frame, at + 1)
    except (IndexError, struct.error):
        return None
    return (offset, xxh3, memoryview(frame)[at:]) if at + length == end else None


def _read_any(frame: Frame) -> Piece:
    """A frame in any order of fields, by protobuf's parser."""
    try:
        message = pb.BlobFrame.FromString(bytes(frame))
    except DecodeError as error:
        raise RemoteProtocolError(f"a frame of {len(frame):,} bytes is not a chunk: {error}") from error
    if not message.HasField("chunk"):
        raise RemoteProtocolError("a frame that is not a chunk came among a buffer's chunks")
    return message.chunk.offset, message.chunk.xxh3, memoryview(message.chunk.data)


def _write_varint(out: bytearray, number: int) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def read_varint(frame: Frame, at: int) -> tuple[int, int]:
    """(number, where the next field begins); IndexError where there is none."""
    number = shift = 0
    while (byte := frame[at]) & 0x80:
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if shift > 56:
            raise IndexError
    return number | byte << shift, at + 1
