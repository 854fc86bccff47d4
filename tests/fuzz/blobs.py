"""A model's chunks as they come in: what is taken is in its place and whole, and the hand-written reader is protobuf's."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
from google.protobuf.message import DecodeError

from fedactors.errors import RemoteProtocolError
from fedactors.model import Layout
from fedactors.protocol._pb import federation_pb2 as pb
from fedactors.protocol.blobs import BlobReceiver
from fedactors.protocol.chunks import decode_chunk, encode_chunk, split_first, write_chunk

LAYOUT = Layout.from_specs([("w", "uint8", (128,))])
VALUES = memoryview(bytes(range(128)))
_LENGTH = struct.Struct("<H")


def several(*frames: bytes) -> bytes:
    return b"".join(_LENGTH.pack(len(frame)) + frame for frame in frames)


SEEDS = [
    several(encode_chunk(0, VALUES[:64]), encode_chunk(64, VALUES[64:])),
    several(encode_chunk(0, VALUES)),
    several(encode_chunk(0, VALUES[:64]), encode_chunk(0, VALUES[:64])),
    several(write_chunk(2**63, 7, VALUES[:9]), write_chunk(0, 0, VALUES[:0])),
    several(pb.PushFrame(opening=pb.PushOpening(task="t")).SerializeToString() + encode_chunk(0, VALUES)),
]


def check(data: bytes) -> None:
    """Frames, each behind its length."""
    receiver = BlobReceiver(LAYOUT, LAYOUT.nbytes, np.zeros(LAYOUT.nbytes, np.uint8))
    while len(data) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(data)
        frame, data = data[_LENGTH.size : _LENGTH.size + length], data[_LENGTH.size + length :]
        _one(receiver, frame)


def _one(receiver: BlobReceiver, frame: bytes) -> None:
    head, chunk = split_first(frame)
    assert bytes(head) + bytes(chunk) == frame
    before = receiver.received_bytes
    try:
        receiver.feed(frame)
    except RemoteProtocolError:
        assert receiver.received_bytes == before
        return
    assert before < receiver.received_bytes <= LAYOUT.nbytes
    with suppress(DecodeError):
        chunk = pb.BlobFrame.FromString(frame).chunk
        assert (chunk.offset, chunk.data) == (before, receiver.out.data[before : receiver.received_bytes])
        assert decode_chunk(frame) == (chunk.offset, chunk.data)
