"""How streams end when something goes wrong."""

import asyncio

import pytest

from fedactors.errors import EndOfStream, LocalProtocolError, StreamClosed, Unreachable
from fedactors.testing import Direction, Ending, Faults, FaultyWire, everyone, only
from fedactors.testing.conformance_transport import METHOD, connected, echo, ending
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.memory import MemoryTransport
from fedactors.transport.pipe import Pipe
from fedactors.transport.tcp import TcpTransport

GRPC = Address.parse("grpc://127.0.0.1:0")
TCP = Address.parse("tcp://127.0.0.1:0")
MEMORY = Address.parse("memory://cuts")
ALL = pytest.mark.parametrize(
    ("transport", "address"),
    [(MemoryTransport(), MEMORY), (GrpcTransport(), GRPC), (TcpTransport(), TCP)],
    ids=["memory", "grpc", "tcp"],
)
MIB = bytes(1024 * 1024)


async def flood(stream):
    while True:
        await stream.send(MIB)


@ALL
async def test_the_reason_of_a_cut_reaches_the_client(transport, address):
    async def accept(stream):
        await stream.receive()
        stream.cut("the federation is full")

    async with connected(transport, address, accept) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=5)
        await stream.send(b"x")
        assert "the federation is full" in str(await ending(stream))


@ALL
async def test_a_frame_longer_than_the_listener_takes_cuts_the_stream(transport, address):
    listener = await type(transport)(frame_bytes_max=1000).listen(address, ending)
    channel = transport.connect(listener.address)
    stream = await channel.open(METHOD, timeout_s=5)
    await stream.send(bytes(2000))
    assert not isinstance(await ending(stream), EndOfStream)
    await channel.close()
    await listener.close(0)


@ALL
async def test_a_listeners_cut_wakes_its_own_send_to_a_client_that_does_not_read(transport, address):
    ended = asyncio.get_running_loop().create_future()

    async def flood_to_the_end(stream):
        with pytest.raises(StreamClosed) as caught:
            await flood(stream)
        ended.set_result(str(caught.value))

    async def accept(stream):
        flooding = asyncio.ensure_future(flood_to_the_end(stream))
        await asyncio.sleep(0.2)
        stream.cut("enough")
        await flooding

    async with connected(transport, address, accept) as (channel, _):
        await channel.open(METHOD, timeout_s=5)
        assert await asyncio.wait_for(ended, 2) == "enough"


@ALL
async def test_a_cancelled_send_leaves_a_stream_that_is_cut_or_whole(transport, address):
    received = []

    async def accept(stream):
        await asyncio.sleep(0.3)
        try:
            while True:
                received.append(len(await stream.receive()))
        except StreamClosed:
            return

    async with connected(transport, address, accept) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flood(stream), 0.2)
        try:
            await stream.send(MIB)
            await stream.finish()
        except StreamClosed:
            pass
        await ending(stream)
        assert set(received) <= {len(MIB)}


@ALL
async def test_an_early_answer_survives_the_flood_that_it_answers(transport, address):
    async def accept(stream):
        await stream.receive()
        await stream.send(b"no")

    async with connected(transport, address, accept) as (channel, _):
        for _ in range(50):
            stream = await channel.open(METHOD, timeout_s=5)
            answer = asyncio.ensure_future(stream.receive())
            with pytest.raises(StreamClosed):
                await flood(stream)
            assert await answer == b"no"
            stream.cut("answered")


@ALL
async def test_an_accept_that_does_not_end_is_cancelled_when_its_listener_closes(transport, address):
    cancelled = asyncio.Event()

    async def accept(stream):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    listener = await transport.listen(address, accept)
    channel = transport.connect(listener.address)
    stream = await channel.open(METHOD, timeout_s=5)
    await listener.close(0)
    assert cancelled.is_set()
    assert not isinstance(await ending(stream), EndOfStream)
    await channel.close()


@ALL
async def test_a_stream_is_of_no_use_to_those_who_kept_it_beyond_its_accept(transport, address):
    kept = []

    async def accept(stream):
        kept.append(stream)

    async with connected(transport, address, accept) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=5)
        assert isinstance(await ending(stream), EndOfStream)
        with pytest.raises((StreamClosed, LocalProtocolError)):
            await kept[0].send(b"x")
        with pytest.raises(StreamClosed):
            await kept[0].receive()
        kept[0].cut("no error")
        await kept[0].finish()


async def test_an_unexpected_error_of_an_accept_is_logged_and_its_text_stays_here(caplog):
    async def accept(stream):
        raise KeyError("secret")

    async with connected(GrpcTransport(), GRPC, accept) as (channel, _):
        end = await ending(await channel.open(METHOD, timeout_s=5))
    assert "KeyError" in str(end)
    assert "secret" not in str(end)
    assert "stream_failed" in caplog.text


async def test_a_pipe_keeps_what_was_whole_and_drops_what_was_cut():
    pipe = Pipe(2)
    await pipe.put(b"1")
    pipe.fail("gone")
    assert await pipe.get() == b"1"
    with pytest.raises(StreamClosed, match="gone"):
        await pipe.get()
    pipe = Pipe(2)
    await pipe.put(b"1")
    pipe.finish()
    pipe.cut("cut")
    pipe.fail("too late")
    with pytest.raises(StreamClosed, match="cut"):
        await pipe.get()
    with pytest.raises(StreamClosed, match="cut"):
        await pipe.put(b"2")


async def test_a_frame_is_not_lost_between_its_arrival_and_a_cancelled_receive():
    pipe = Pipe(2)
    getting = asyncio.ensure_future(pipe.get())
    await asyncio.sleep(0)
    await pipe.put(b"1")
    getting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await getting
    assert await pipe.get() == b"1"


async def test_a_connection_that_is_left_is_replaced_for_streams_to_come_and_its_open_ones_go_on():
    peers = []

    async def accept(stream):
        peers.append(stream.peer)
        await echo(stream)

    async with connected(GrpcTransport(), GRPC, accept) as (channel, _):
        first = await channel.open(METHOD, timeout_s=5)
        channel.leave(first)
        second = await channel.open(METHOD, timeout_s=5)
        channel.leave(first)
        third = await channel.open(METHOD, timeout_s=5)
        for stream in (first, second, third):
            await stream.send(b"hello")
            assert await stream.receive() == b"hello"
    assert peers[0] != peers[1] == peers[2]


async def test_a_connection_that_answers_nothing_is_not_used_for_the_next_attempt():
    async with connected(GrpcTransport(), GRPC, echo) as (_, listener):
        dead = only({0: Faults(up=Direction(end_at=1000, ending=Ending.SWALLOW))})
        async with FaultyWire(listener.address, dead) as wire:
            channel = GrpcTransport().connect(wire.address)
            stream = await channel.open(METHOD, timeout_s=5)
            await stream.send(bytes(2000))
            with pytest.raises(Unreachable):
                await channel.open(METHOD, timeout_s=0.3)
            stream = await channel.open(METHOD, timeout_s=5)
            await stream.send(b"hello")
            assert await stream.receive() == b"hello"
            await channel.close()


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize(("transport", "address"), [(GrpcTransport(), GRPC), (TcpTransport(), TCP)], ids=["grpc", "tcp"])
async def test_wherever_the_connection_breaks_while_a_stream_is_opened_it_is_opened_on_the_next(transport, address, way):
    async with connected(transport, address, echo) as (_, listener):
        for broken_at in range(0, 300, 10):
            breaking = only({0: Faults(**{way: Direction(end_at=broken_at)})})
            async with FaultyWire(listener.address, breaking) as wire:
                channel = transport.connect(wire.address)
                stream = await channel.open(METHOD, timeout_s=5)
                await channel.close()
                stream.cut("tried")


async def test_where_there_is_no_socket_nothing_is_guessed_about_its_kind(tmp_path):
    channel = GrpcTransport().connect(Address.parse(f"grpc://{tmp_path}/nobody.sock"))
    with pytest.raises(Unreachable, match=r"waited for 0\.2 s$"):
        await channel.open(METHOD, timeout_s=0.2)
    await channel.close()


async def test_a_connection_that_breaks_each_time_is_told_of():
    broken = everyone(Faults(down=Direction(end_at=60)))
    async with connected(GrpcTransport(), GRPC, echo) as (_, listener), FaultyWire(listener.address, broken) as wire:
        channel = GrpcTransport().connect(wire.address)
        with pytest.raises(Unreachable, match=r"waited for 1 s; the last attempt failed \(.*reset"):
            await channel.open(METHOD, timeout_s=1)
        await channel.close()
