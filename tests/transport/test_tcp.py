"""What `tcp` owes beside what every transport does: to strangers, to those who took the wrong scheme, and to the machine."""

from __future__ import annotations

import asyncio
import socket
import struct
import tracemalloc
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop

from fedactors.errors import AccessDenied, EndOfStream, StreamClosed, Unreachable
from fedactors.testing.conformance_transport import METHOD, TRANSPORT_CHECKS, connected, echo, ending
from fedactors.transport import Address, tcp, tcp_wire
from fedactors.transport.frames import OPENING_BYTES_MAX, PREAMBLE, SMALL_BYTES, Kind, Opening, decode_why, encode_opening, header
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.grpcs import GrpcsTransport
from fedactors.transport.tcp import TcpTransport
from fedactors.transport.tcps import TcpsTransport
from tests.transport.certificates import Certificates

TCP = Address.parse("tcp://127.0.0.1:0")
NEVER_S = 0.8
OPENING = encode_opening(Opening(METHOD))
OPEN = PREAMBLE + header(Kind.OPEN, len(OPENING)) + OPENING


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Strangers here do not hang up when they are told to."""
    monkeypatch.setattr(tcp_wire, "LINGER_S", 0.1)


@asynccontextmanager
async def stranger(address: Address):
    """A plain connection: (reader, writer)."""
    host, _, port = address.place.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def said_to(address: Address, *pieces: bytes, every_s: float = 0.0) -> bytes:
    """What a listener answers to these, up to the end that it makes."""
    async with asyncio.timeout(10), stranger(address) as (reader, writer):
        answer = asyncio.ensure_future(reader.read())
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(every_s)
            if answer.done():
                break
        with suppress(ConnectionError):
            return await answer
    return b""


def why(answer: bytes) -> str:
    """The reason in the last frame of an answer."""
    return decode_why(answer[len(PREAMBLE) + 5 :])


async def is_served(channel) -> bool:
    stream = await channel.open(METHOD, timeout_s=5)
    await stream.send(b"hello")
    return await stream.receive() == b"hello"


def frame(kind: int, body: bytes = b"", announced: int | None = None) -> bytes:
    return struct.pack("<BI", kind, len(body) if announced is None else announced) + body


# --------------------------------------------------------------------------------------------------------------------- strangers


@pytest.mark.parametrize(
    ("says", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "another protocol"),
        (bytes(range(256)) * 300, "another protocol"),
        (PREAMBLE + frame(Kind.DATA, b"x"), "DATA came, where OPEN may come"),
        (PREAMBLE + frame(Kind.OPEN, announced=OPENING_BYTES_MAX + 1), "is announced; at most 8,192 are taken"),
        (PREAMBLE + frame(Kind.OPEN, b"\xc1"), "is no msgpack"),
        (PREAMBLE + frame(Kind.OPEN, b"\x90"), r"is to be [method, credential]"),
    ],
)
async def test_a_stranger_is_told_what_is_wrong_and_others_are_served(says, answer):
    async with connected(TcpTransport(), TCP, echo) as (channel, listener):
        assert answer in why(await said_to(listener.address, says))
        assert await is_served(channel)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (frame(Kind.DATA, announced=2001), "2,001 bytes is announced; at most 2,000"),
        (frame(Kind.FINISH) + frame(Kind.DATA, b"x"), "DATA came, where CUT may come"),
        (frame(77), "kind 77 came"),
        (frame(Kind.OPEN, OPENING), "OPEN came"),
    ],
)
async def test_who_breaks_a_rule_on_an_open_stream_is_cut_and_told_why(says, reason):
    ends = asyncio.Queue()

    async def accept(stream):
        ends.put_nowait(await ending(stream))

    async with connected(TcpTransport(frame_bytes_max=2000), TCP, accept) as (_, listener):
        answer = await said_to(listener.address, OPEN, says, every_s=0.05)
        end = await ends.get()
    assert answer.startswith(PREAMBLE + frame(Kind.OPENED))
    assert reason in decode_why(answer[len(PREAMBLE) + 10 :])
    assert isinstance(end, EndOfStream) or reason in str(end)


@pytest.mark.parametrize(
    "pieces", [[], [PREAMBLE[:5]], [PREAMBLE], [OPEN[:-1]], [OPEN[at : at + 1] for at in range(len(OPEN))]],
    ids=["silent", "half a preamble", "no opening", "half an opening", "a byte at a time"],
)  # fmt: skip
async def test_who_takes_too_long_to_say_what_it_wants_is_let_go(pieces):
    async with connected(TcpTransport(handshake_s=0.2), TCP, echo) as (channel, listener):
        assert "nothing was asked for within 0.2 s" in why(await said_to(listener.address, *pieces, every_s=0.02))
        assert await is_served(channel)


async def test_of_many_connections_that_ask_for_nothing_the_newest_are_closed_and_who_tries_again_is_served(monkeypatch):
    monkeypatch.setattr(tcp, "OPENINGS_MAX", 3)
    async with connected(TcpTransport(handshake_s=0.4), TCP, echo) as (channel, listener):
        silent = [asyncio.ensure_future(said_to(listener.address)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert await said_to(listener.address) == b""
        assert await is_served(channel)
        assert ["nothing was asked for" in why(answer) for answer in await asyncio.gather(*silent)] == [True] * 3


async def test_a_listener_that_could_not_take_a_connection_takes_the_next_one(monkeypatch, caplog):
    loop, failures = asyncio.get_running_loop(), [OSError(24, "Too many open files")]
    accept = loop.sock_accept

    async def no_descriptor_at_first(listening):
        if failures:
            raise failures.pop()
        return await accept(listening)

    monkeypatch.setattr(tcp, "TAKE_AGAIN_S", 0.01)
    monkeypatch.setattr(loop, "sock_accept", no_descriptor_at_first)
    async with connected(TcpTransport(), TCP, echo) as (channel, _):
        assert await is_served(channel)
    assert "connection_not_taken why=[Errno 24] Too many open files" in caplog.text


async def test_a_large_frame_of_which_little_comes_is_lost_with_its_connection():
    ends = asyncio.Queue()

    async def accept(stream):
        ends.put_nowait(await ending(stream))

    async with connected(TcpTransport(), TCP, accept) as (_, listener):
        async with stranger(listener.address) as (_, writer):
            writer.write(OPEN + frame(Kind.DATA, bytes(1000), announced=5_000_000))
            await asyncio.sleep(0.05)
        end = await ends.get()
    assert not isinstance(end, EndOfStream)
    assert "the peer is gone" in str(end)


# ------------------------------------------------------------------------------------------------------------- the wrong scheme


@pytest.mark.parametrize(
    ("serves", "calls", "said"),
    [
        ("grpc", "tcp", "it speaks HTTP/2, as gRPC does: write grpc:// in the address"),
        ("tcp", "grpc", "is it a port of tcp://, or one with TLS?"),
        ("tcps", "tcp", "is it a port with TLS (tcps://)?"),
        ("tcp", "tcps", "does not speak TLS: write tcp:// in the address, or grpc://"),
        ("grpcs", "tcps", "is it a port of grpcs://?"),
    ],
)
async def test_who_calls_by_the_wrong_scheme_is_told_and_does_not_hang(authority, serves, calls, said):
    transports = {
        "grpc": (GrpcTransport(), GrpcTransport()),
        "grpcs": (authority.listening(GrpcsTransport), authority.calling(GrpcsTransport)),
        "tcp": (TcpTransport(), TcpTransport()),
        "tcps": (authority.listening(TcpsTransport), authority.calling(TcpsTransport)),
    }
    listener = await transports[serves][0].listen(Address(serves, "127.0.0.1:0"), echo)
    channel = transports[calls][1].connect(Address(calls, listener.address.place), credential="secret")
    try:
        with pytest.raises(Unreachable) as caught:
            await channel.open(METHOD, timeout_s=NEVER_S)
    finally:
        await channel.close()
        await listener.close(0)
    assert said in str(caught.value)
    assert str(channel._address) in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_client_that_shows_no_certificate_where_one_is_demanded_is_told_what_may_be_the_matter(authority):
    listener = await authority.listening(TcpsTransport, client_certificates="required").listen(
        Address("tcps", "127.0.0.1:0"), echo
    )
    channel = authority.calling(TcpsTransport).connect(listener.address)
    with pytest.raises(Unreachable, match=r"does it demand a certificate \(--certificate, --key\)"):
        await channel.open(METHOD, timeout_s=NEVER_S)
    await channel.close()
    await listener.close(0)


async def test_another_version_is_named_at_once_and_by_both_sides():
    async def other(reader, writer):
        writer.write(PREAMBLE[:-1] + b"\x09" + frame(Kind.OPENED))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        channel = TcpTransport().connect(Address("tcp", f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        with pytest.raises(Unreachable, match="version 9 of this transport, and this side version 1: install the same fedactors"):
            await channel.open(METHOD, timeout_s=60)
        await channel.close()
    async with connected(TcpTransport(), TCP, echo) as (_, listener):
        assert "version 9" in why(await said_to(listener.address, PREAMBLE[:-1] + b"\x09"))


# -------------------------------------------------------------------------------------------------------------------- the socket


async def test_the_kernel_probes_a_silent_peer_and_lets_go_of_a_dead_one():
    transport, seen = TcpTransport(keepalive_s=7.0, stalled_s=21.0), []

    async def note(stream):
        seen.append(stream._wire.transport.get_extra_info("socket"))
        await echo(stream)

    async with connected(transport, TCP, note) as (channel, _):
        assert await is_served(channel)
        (client,) = channel._wires._alive
        for one in (*seen, client.transport.get_extra_info("socket")):
            assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = [getattr(socket, name) for name in ("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")]
            assert [one.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [1, 7, 7, 3]
            assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 21_000


async def test_small_frames_are_bytes_and_large_ones_are_views_that_nobody_can_write_to():
    async with connected(TcpTransport(), TCP, echo) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=5)
        for length, kind in ((SMALL_BYTES, bytes), (SMALL_BYTES + 1, memoryview)):
            await stream.send(bytes(length))
            frame = await stream.receive()
            assert type(frame) is kind
            assert frame == bytes(length)
        assert frame.readonly
        assert frame.format == "B"


async def test_a_sender_of_small_frames_whose_peer_keeps_up_does_not_hold_up_its_process():
    async with connected(TcpTransport(), TCP, ending) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=5)
        turns = 0

        async def others():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(others())
        for _ in range(100):
            await stream.send(bytes(10_000))
        counting.cancel()
        assert turns >= 10


IDLE = 100
IDLE_BYTES_MAX = 24 * 1024
"""Of Python's memory for both ends of an idle stream, with the tasks that serve it. (gRPC takes 53 KB for one end.)"""


async def test_an_idle_connection_takes_little_memory():
    async def hold(stream):
        with suppress(StreamClosed):
            await stream.receive()

    async with connected(TcpTransport(), TCP, hold) as (channel, _):
        kept = [await channel.open(METHOD, timeout_s=5)]
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            kept += [await channel.open(METHOD, timeout_s=5) for _ in range(IDLE)]
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (after - before) / IDLE < IDLE_BYTES_MAX


@pytest.mark.parametrize("transport", [TcpTransport, TcpsTransport], ids=["tcp", "tcps"])
def test_every_promise_is_kept_over_uvloop_too(authority, transport):
    """All at once, which is how it is quick."""
    one = TcpTransport() if transport is TcpTransport else authority.listening(TcpsTransport)
    place = Address("tcp" if transport is TcpTransport else "tcps", "127.0.0.1:0")

    async def all_of_them():
        await asyncio.gather(*(check(one, place) for check in TRANSPORT_CHECKS))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(all_of_them())


async def test_a_denied_opening_is_denied_at_once_and_not_tried_again():
    calls = 0

    def admit(_):
        nonlocal calls
        calls += 1
        raise AccessDenied("no")

    listener = await TcpTransport().listen(TCP, echo, admit)
    channel = TcpTransport().connect(listener.address)
    with pytest.raises(AccessDenied, match="no"):
        await channel.open(METHOD, timeout_s=60)
    await channel.close()
    await listener.close(0)
    assert calls == 1
