"""The hand-joined chunk is protobuf's, byte for byte."""

from contextlib import suppress

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.errors import RemoteProtocolError
from fedactors.protocol._pb import federation_pb2 as pb
from fedactors.protocol.chunks import decode_chunk, encode_chunk, write_chunk

offsets = st.integers(0, 2**63 - 1) | st.sampled_from([0, 1, 127, 128, 2**14 - 1, 2**14, 2**20, 2**35])
sizes = st.sampled_from([0, 1, 126, 127, 128, 129, 16_383, 16_384, 70_000])
data = st.binary(max_size=300) | st.builds(lambda size, fill: fill * size, sizes, st.binary(min_size=1, max_size=1))


def checked(offset, data):
    return pb.Chunk(offset=offset, xxh3=xxhash.xxh3_64_intdigest(data), data=data)


@settings(deadline=None)
@given(offsets, st.integers(0, 2**64 - 1), data)
def test_what_is_written_by_hand_is_what_protobuf_writes(offset, xxh3, data):
    chunk = pb.Chunk(offset=offset, xxh3=xxh3, data=data)
    frame = write_chunk(offset, xxh3, memoryview(data))
    assert frame == pb.BlobFrame(chunk=chunk).SerializeToString() == pb.PushFrame(chunk=chunk).SerializeToString()


@settings(deadline=None)
@given(offsets, data)
def test_what_protobuf_writes_is_read_by_hand(offset, data):
    assert decode_chunk(pb.PushFrame(chunk=checked(offset, data)).SerializeToString()) == (offset, data)
    assert decode_chunk(encode_chunk(offset, memoryview(data))) == (offset, data)


def test_reading_copies_nothing():
    frame = encode_chunk(5, memoryview(b"x" * 1000))
    assert decode_chunk(frame)[1].obj is frame


def test_fields_in_another_order_are_read_too():
    data = b"weights"
    head = bytes([0x7A, len(data)]) + data
    rest = b"\x11" + xxhash.xxh3_64_intdigest(data).to_bytes(8, "little") + b"\x08\x09"
    assert decode_chunk(bytes([0x7A, len(head + rest)]) + head + rest) == (9, data)


@settings(deadline=None)
@given(data.filter(bool), st.data())
def test_a_changed_byte_of_the_data_is_noticed(data, draw):
    frame = bytearray(encode_chunk(64, memoryview(data)))
    frame[-1 - draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(RemoteProtocolError, match="the chunk at byte 64 was changed on its way"):
        decode_chunk(bytes(frame))


@settings(deadline=None)
@given(st.binary(max_size=60) | st.builds(lambda rest: b"\x7a" + rest, st.binary(max_size=60)))
def test_arbitrary_bytes_are_a_chunk_or_a_remote_protocol_error(frame):
    with suppress(RemoteProtocolError):
        decode_chunk(frame)


def test_another_frame_among_the_chunks_is_refused():
    with pytest.raises(RemoteProtocolError, match="not a chunk came among"):
        decode_chunk(pb.BlobFrame(header=pb.BlobHeader(total_bytes=3)).SerializeToString())
