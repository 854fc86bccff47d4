"""The gate: two writes at a time, and no stalled receiver holds a place."""

import asyncio

import pytest

from fedactors.errors import StreamClosed
from fedactors.protocol.gate import SMALL_BYTES, Gate

CHUNK = bytes(SMALL_BYTES + 1)


class Slow:
    """A stream whose sends end when they are let."""

    def __init__(self):
        self.sends = []

    async def send(self, frame):
        self.sends.append(asyncio.get_running_loop().create_future())
        await self.sends[-1]


async def test_only_so_many_write_at_a_time_and_the_first_to_come_is_served_first():
    gate, stream, order = Gate(2, patience_s=10), Slow(), []

    async def write(number):
        await gate.send(stream, CHUNK)
        order.append(number)

    tasks = [asyncio.ensure_future(write(number)) for number in range(5)]
    for turn in range(5):
        await asyncio.sleep(0.01)
        assert len(stream.sends) == min(turn + 2, 5)
        stream.sends[turn].set_result(None)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_a_write_that_takes_long_gives_its_place_back():
    gate, stalled, brisk = Gate(1, patience_s=0.05), Slow(), Slow()
    waiting = asyncio.ensure_future(gate.send(stalled, CHUNK))
    await asyncio.sleep(0.01)
    passing = asyncio.ensure_future(gate.send(brisk, CHUNK))
    await asyncio.sleep(0.02)
    assert not brisk.sends
    await asyncio.sleep(0.06)
    brisk.sends[0].set_result(None)
    await passing
    stalled.sends[0].set_result(None)
    await waiting
    again = [asyncio.ensure_future(gate.send(brisk, CHUNK)) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert len(brisk.sends) == 2, "a place was given back twice"
    for task in again:
        task.cancel()


@pytest.mark.parametrize("how", ["error", "cancelled while writing", "cancelled while waiting", "cancelled when let in"])
async def test_no_place_is_lost(how):
    gate, stream = Gate(1, patience_s=10), Slow()
    first = asyncio.ensure_future(gate.send(stream, CHUNK))
    second = asyncio.ensure_future(gate.send(stream, CHUNK))
    await asyncio.sleep(0)
    if how == "error":
        stream.sends[0].set_exception(StreamClosed("gone"))
    elif how == "cancelled while writing":
        first.cancel()
    elif how == "cancelled while waiting":
        second.cancel()
        stream.sends[0].set_result(None)
    else:
        stream.sends[0].set_result(None)
        await asyncio.sleep(0)
        second.cancel()
    await asyncio.sleep(0.01)
    if not second.done():
        stream.sends[1].set_result(None)
    await asyncio.wait([first, second])
    first.cancelled() or first.exception()
    third = asyncio.ensure_future(gate.send(stream, CHUNK))
    await asyncio.sleep(0.01)
    stream.sends[-1].set_result(None)
    await third


async def test_a_small_frame_does_not_wait_for_a_place():
    gate, stalled, brisk = Gate(1, patience_s=10), Slow(), Slow()
    waiting = asyncio.ensure_future(gate.send(stalled, CHUNK))
    passing = asyncio.ensure_future(gate.send(brisk, bytes(SMALL_BYTES)))
    await asyncio.sleep(0.01)
    brisk.sends[0].set_result(None)
    await passing
    stalled.sends[0].set_result(None)
    await waiting
