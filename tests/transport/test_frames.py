"""The bytes of tcp://: whatever pieces they come in, the same frames; what breaks a rule is refused before it costs anything."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedactors.errors import LocalProtocolError, RemoteProtocolError
from fedactors.transport import frames
from fedactors.transport.frames import (
    HEADER,
    PREAMBLE,
    SMALL_BYTES,
    ForeignProtocolError,
    FrameReader,
    Kind,
    Opening,
    client_rules,
    decode_opening,
    decode_why,
    encode_opening,
    encode_why,
    header,
    listener_rules,
)

FRAME_BYTES_MAX = 100_000
LISTENER, CLIENT = listener_rules(FRAME_BYTES_MAX), client_rules(FRAME_BYTES_MAX)
OPENING = encode_opening(Opening("/x/Y", "secret"))
lengths = st.one_of(st.integers(0, 20), st.integers(SMALL_BYTES - 2, SMALL_BYTES + 2), st.integers(0, FRAME_BYTES_MAX))
bodies = st.builds(lambda length, fill: bytes([fill]) * length, lengths, st.integers(0, 255))
cuts = st.lists(st.one_of(st.integers(1, 12), st.integers(1, 64 * 1024)), min_size=1, max_size=12)


def wire(*sent: tuple[Kind, bytes]) -> bytes:
    return PREAMBLE + b"".join(header(kind, len(body)) + body for kind, body in sent)


def read(reader: FrameReader, data: bytes, pieces: list[int]) -> list[tuple[Kind, bytes | memoryview]]:
    """The frames in bytes that come in pieces of these lengths, again and again; in place where the reader wants them there."""
    came, at, turn = [], 0, 0
    while at < len(data):
        length, turn = pieces[turn % len(pieces)], turn + 1
        if (place := reader.place) is None:
            came += reader.feed(memoryview(data[at : at + length]))
            at += length
        else:
            assert len(place) > 0
            piece = data[at : at + min(length, len(place))]
            place[: len(piece)] = piece
            came += reader.placed(len(piece))
            at += len(piece)
    return came


@given(st.lists(bodies, max_size=8), cuts, st.booleans())
def test_however_the_bytes_are_cut_into_pieces_the_same_frames_come(sent, pieces, finishes):
    script = [(Kind.OPEN, OPENING), *((Kind.DATA, body) for body in sent)]
    script += [(Kind.FINISH, b"")] if finishes else []
    came = read(FrameReader(LISTENER), wire(*script), pieces)
    assert came == script
    for _, body in came:
        assert isinstance(body, bytes) == (len(body) <= SMALL_BYTES)
        assert isinstance(body, bytes) or body.readonly


@given(st.integers(0, 12), cuts)
def test_an_idle_connection_keeps_nothing_and_half_a_frame_keeps_that_half(missing, pieces):
    reader, whole = FrameReader(LISTENER), wire((Kind.OPEN, OPENING), (Kind.DATA, b"0123456789"))
    read(reader, whole[: len(whole) - missing], pieces)
    assert reader.place is None
    assert len(reader._rest) == (HEADER.size + 10 - missing if missing > 0 else 0)


@pytest.mark.parametrize(
    ("rules", "sent", "said"),
    [
        (LISTENER, [(Kind.DATA, b"")], "DATA came, where OPEN may come"),
        (LISTENER, [(Kind.OPENED, b"")], "OPENED came"),
        (LISTENER, [(Kind.OPEN, bytes(9000))], "OPEN frame of 9,000 bytes is announced; at most 8,192"),
        (LISTENER, [(Kind.OPEN, b""), (Kind.OPEN, b"")], "OPEN came, where DATA, FINISH, CUT may come"),
        (LISTENER, [(Kind.OPEN, b""), (Kind.DATA, bytes(FRAME_BYTES_MAX + 1))], "DATA frame of 100,001 bytes"),
        (LISTENER, [(Kind.OPEN, b""), (Kind.FINISH, b"x")], "FINISH frame of 1 bytes"),
        (LISTENER, [(Kind.OPEN, b""), (Kind.FINISH, b""), (Kind.DATA, b"")], "DATA came, where CUT may come"),
        (LISTENER, [(Kind.OPEN, b""), (Kind.END, b"")], "END came"),
        (LISTENER, [(Kind.OPEN, b""), (Kind.DENY, b"no")], "DENY came"),
        (LISTENER, [(Kind.OPEN, b""), (Kind.CUT, bytes(5000))], "CUT frame of 5,000 bytes"),
        (CLIENT, [(Kind.DATA, b"")], "DATA came, where OPENED, CUT, DENY may come"),
        (CLIENT, [(Kind.OPENED, b""), (Kind.OPEN, b"")], "OPEN came"),
        (CLIENT, [(Kind.OPENED, b"x")], "OPENED frame of 1 bytes"),
    ],
)
def test_what_must_not_come_now_or_is_too_long_is_refused(rules, sent, said):
    with pytest.raises(RemoteProtocolError, match=said):
        read(FrameReader(rules), wire(*sent), [70_000])


@pytest.mark.parametrize("number", [0, 8, 255])
def test_a_kind_that_there_is_not_is_refused(number):
    with pytest.raises(RemoteProtocolError, match=rf"kind {number} came"):
        read(FrameReader(LISTENER), PREAMBLE + HEADER.pack(number, 0), [64])


def test_frames_before_a_wrong_one_are_given():
    coming = FrameReader(CLIENT).feed(memoryview(wire((Kind.OPENED, b""), (Kind.DATA, b"1"), (Kind.OPENED, b""))))
    assert [next(coming), next(coming)] == [(Kind.OPENED, b""), (Kind.DATA, b"1")]
    with pytest.raises(RemoteProtocolError):
        next(coming)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_a_length_that_is_announced_alone_takes_no_memory():
    reader, before = FrameReader(listener_rules(1 << 30)), resident_bytes()
    read(reader, wire((Kind.OPEN, OPENING)) + HEADER.pack(Kind.DATA, 1 << 30), [64])
    assert len(reader.place) == 1 << 30
    assert resident_bytes() - before < 1 << 26


@pytest.mark.parametrize(
    ("begins", "said"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2, as gRPC does: write grpc://"),
        (b"\0\0\x12\4\0\0\0\0\0", "write grpc://"),
        (b"\x16\x03\x01\x02\0", "TLS: write tcps://"),
        (b"\x15\x03\x03\0\2\2", "TLS: write tcps://"),
        (b"GET / HTTP/1.1\r\n", "another protocol, which begins with b'GET / HT'"),
        (b"x", "another protocol, which begins with b'x'"),
        (frames.MAGIC + b"\x02", "version 2 of this transport, and this side version 1: install the same fedactors"),
    ],
)
def test_what_speaks_something_else_is_told_apart_by_its_first_bytes(begins, said):
    with pytest.raises(ForeignProtocolError) as caught:
        read(FrameReader(LISTENER), begins, [len(begins)])
    assert said in str(caught.value)


def test_half_a_preamble_is_waited_for():
    assert read(FrameReader(LISTENER), PREAMBLE[:7], [1]) == []


@given(st.text(min_size=1, max_size=200), st.text(max_size=1000))
def test_an_opening_is_read_as_it_was_written(method, credential):
    assert decode_opening(encode_opening(Opening(method, credential))) == Opening(method, credential)


def test_an_opening_does_not_show_its_token_and_has_a_longest_length():
    assert "secret" not in repr(decode_opening(OPENING))
    with pytest.raises(LocalProtocolError, match=r"9,00\d bytes; at most 8,192"):
        encode_opening(Opening("/x/Y", "x" * 9000))


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x92", b"\x92\x01\x02", b"\x91\xa1x", b"\x92\xa0\xa0", b"\x93\xa1x\xa0\xa0", b"\x81\xa1x\xa1y"]
)
def test_what_is_no_opening_is_refused(body):
    with pytest.raises(RemoteProtocolError, match="opening"):
        decode_opening(body)


def test_a_reason_is_shortened_and_may_hold_anything():
    assert decode_why(encode_why("ü" * 10_000)).startswith("ü" * 2000)
    assert len(encode_why("ü" * 10_000)) == frames.WHY_BYTES_MAX
    assert decode_why(b"\xff\xfe") == "��"
    assert decode_why(b"") == "the peer has ended the stream and gave no reason"
