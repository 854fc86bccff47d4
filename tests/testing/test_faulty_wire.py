"""What a faulty wire does to plain connections with an echo behind it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fedactors.testing import Direction, Ending, Faults, FaultyWire, everyone, only
from fedactors.testing.faults import UNHARMED
from fedactors.testing.faulty_wire import QUEUED_BYTES_MAX
from fedactors.transport import Address

pytestmark = pytest.mark.e2e

CONTENT = random.Random(1).randbytes(300_000)


async def echo(reader, writer):
    try:
        while piece := await reader.read(4096):
            writer.write(piece)
            await writer.drain()
        writer.write(b"END")
        await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def wired(plan=UNHARMED, handler=echo) -> AsyncIterator[FaultyWire]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    target = Address("tcp", f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with asyncio.timeout(20), server, FaultyWire(target, plan, seed=3) as wire:
        yield wire


async def connect(wire):
    host, _, port = wire.address.place.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def talk(wire, content=CONTENT):
    """Send all of it and finish; what comes back, and whether that ends by a reset."""
    reader, writer = await connect(wire)

    async def send() -> None:
        try:
            for start in range(0, len(content), 10_000):
                writer.write(content[start : start + 10_000])
                await writer.drain()
            writer.write_eof()
        except OSError:
            return

    sending, received = asyncio.ensure_future(send()), b""
    try:
        while piece := await reader.read(4096):
            received += piece
    except ConnectionResetError:
        return received, True
    finally:
        await sending
        writer.close()
    return received, False


def elapsed_since(began_s):
    return asyncio.get_running_loop().time() - began_s


async def test_a_wire_without_faults_is_not_noticed():
    async with wired() as wire:
        assert await talk(wire) == (CONTENT + b"END", False)
        statistics = wire.statistics
        assert (statistics.connections, statistics.refused, statistics.endings) == (1, 0, 0)
        assert (statistics.bytes_up, statistics.bytes_down) == (len(CONTENT), len(CONTENT) + 3)


async def test_a_wire_leads_to_a_unix_socket_by_a_unix_socket(tmp_path):
    path = tmp_path / "echo"
    async with await asyncio.start_unix_server(echo, path), FaultyWire(Address("unix", str(path))) as wire:
        reader, writer = await asyncio.open_unix_connection(wire.address.place)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()


@pytest.mark.parametrize("at", [0, 1, 4095, 16_384, 16_385, 123_457])
@pytest.mark.parametrize("ending", [Ending.RESET, Ending.CLOSE])
async def test_a_direction_ends_at_the_very_byte(at, ending):
    async with wired(only({0: Faults(up=Direction(end_at=at, ending=ending))})) as wire:
        received, _ = await talk(wire)
        assert len(received) <= at
        assert CONTENT.startswith(received)
        assert (wire.statistics.bytes_up, wire.statistics.endings) == (at, 1)
        assert await talk(wire) == (CONTENT + b"END", False), "the second connection is whole"


async def test_a_reset_is_seen_by_both_sides():
    seen = asyncio.Queue()

    async def handler(reader, writer):
        try:
            while await reader.read(4096):
                pass
            seen.put_nowait("end of file")
        except ConnectionResetError:
            seen.put_nowait("reset")
        writer.close()

    async with wired(everyone(Faults(up=Direction(end_at=1000))), handler) as wire:
        assert await talk(wire) == (b"", True)
        assert await seen.get() == "reset"


async def test_a_half_close_ends_one_direction_and_leaves_the_other():
    async with wired(everyone(Faults(up=Direction(end_at=5, ending=Ending.HALF_CLOSE)))) as wire:
        assert await talk(wire, b"hello world") == (b"helloEND", False)
        assert wire.statistics.bytes_swallowed == 6


async def test_a_black_hole_takes_everything_and_tells_nobody():
    async with wired(everyone(Faults(down=Direction(end_at=100, ending=Ending.SWALLOW)))) as wire:
        reader, writer = await connect(wire)
        writer.write(CONTENT)
        await writer.drain()
        assert await reader.readexactly(100) == CONTENT[:100]
        while wire.statistics.bytes_swallowed < len(CONTENT) - 100:  # noqa: ASYNC110  # counts have no events
            await asyncio.sleep(0.01)
        assert wire.statistics.alive == 1
        writer.close()


async def test_a_delay_and_its_jitter_are_kept_and_do_not_stack():
    async with wired(everyone(Faults(up=Direction(delay_s=0.1, jitter_s=0.1), down=Direction(delay_s=0.1)))) as wire:
        began_s = asyncio.get_running_loop().time()
        assert await talk(wire) == (CONTENT + b"END", False)
        assert 0.2 <= elapsed_since(began_s) < 5.0, "each of 19 pieces or more was delayed, all at the same time"


async def test_a_throttled_direction_keeps_its_pace():
    async with wired(everyone(Faults(up=Direction(bytes_per_s=1_000_000)))) as wire:
        began_s = asyncio.get_running_loop().time()
        await talk(wire)
        assert elapsed_since(began_s) >= 0.9 * (len(CONTENT) - 20_000) / 1_000_000


async def test_a_slow_direction_holds_its_sender_up():
    async with wired(everyone(Faults(up=Direction(bytes_per_s=1000)))) as wire:
        _, writer = await connect(wire)
        taken_bytes = 0

        async def flood() -> None:
            nonlocal taken_bytes
            while True:
                writer.write(bytes(65_536))
                await writer.drain()
                taken_bytes += 65_536

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flood(), 0.5)
        assert taken_bytes <= 8 * QUEUED_BYTES_MAX
        writer.transport.abort()


async def test_a_frozen_wire_moves_nothing_until_it_thaws():
    async with wired() as wire:
        wire.freeze()
        talking = asyncio.ensure_future(talk(wire))
        await asyncio.sleep(0.1)
        assert (wire.statistics.bytes_up, wire.statistics.alive) == (0, 1)
        wire.thaw()
        assert await talking == (CONTENT + b"END", False)


async def test_connections_are_refused_by_plan_and_for_a_time():
    async with wired(only({0: Faults(refused=True)})) as wire:
        assert await talk(wire, b"x") == (b"", True)
        assert await talk(wire, b"x") == (b"xEND", False)
        wire.refuse_for(0.1)
        assert await talk(wire, b"x") == (b"", True)
        await asyncio.sleep(0.12)
        assert await talk(wire, b"x") == (b"xEND", False)
        assert (wire.statistics.connections, wire.statistics.refused) == (4, 2)


async def test_every_connection_can_be_cut_at_once():
    async with wired() as wire:
        pairs = [await connect(wire) for _ in range(3)]
        for reader, writer in pairs:
            writer.write(b"x")
            await reader.readexactly(1)
        wire.cut_all()
        for reader, writer in pairs:
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            writer.close()
        assert await talk(wire, b"x") == (b"xEND", False)


async def test_a_plan_is_repeated_by_its_seed():
    seen: list[list[float]] = []
    for _ in range(2):
        drawn: list[float] = []

        def plan(number, rng, drawn=drawn):
            drawn.append(rng.random())
            return Faults()

        async with wired(plan) as wire:
            for _ in range(3):
                await talk(wire, b"x")
        seen.append(drawn)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 3


async def test_nothing_is_left_when_the_block_ends():
    before = asyncio.all_tasks()
    async with wired(everyone(Faults(up=Direction(bytes_per_s=10)))) as wire:
        _, writer = await connect(wire)
        writer.write(CONTENT)
        await asyncio.sleep(0.05)
        writer.transport.abort()
    await asyncio.sleep(0.05)
    assert {task for task in asyncio.all_tasks() if task.get_name().startswith("wire")} <= before


async def test_a_target_that_is_not_there_is_a_reset():
    async with FaultyWire(Address("tcp", "127.0.0.1:1")) as wire:
        assert await talk(wire, b"x") == (b"", True)
