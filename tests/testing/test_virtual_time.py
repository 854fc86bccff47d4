"""The virtual loop: ordinary asyncio code runs in it, and a deadlock is an error."""

from __future__ import annotations

import asyncio
import time

import pytest

from fedactors.runtime import Clock
from fedactors.testing import Deadlock, VirtualLoop, run_virtual


def test_an_hour_of_sleep_takes_no_time() -> None:
    async def scenario() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    begun = time.monotonic()
    assert run_virtual(scenario()) == 3600
    assert time.monotonic() - begun < 10


async def test_timeouts_queues_and_task_groups_work_as_ever() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(1)

    async def producer() -> None:
        for number in range(3):
            await asyncio.sleep(1)
            await queue.put(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(producer())
        assert [await queue.get() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await queue.get()
    assert asyncio.get_running_loop().time() == pytest.approx(8.0)


async def test_timers_run_in_the_order_in_which_they_are_due() -> None:
    order: list[float] = []
    loop = asyncio.get_running_loop()
    for delay_s in (3.0, 1.0, 2.0):
        loop.call_later(delay_s, order.append, delay_s)
    await asyncio.sleep(4)
    assert order == [1.0, 2.0, 3.0]


def test_what_can_never_happen_is_a_deadlock_that_names_the_tasks() -> None:
    async def scenario() -> None:
        async def stuck() -> None:
            await asyncio.Event().wait()

        waiting = asyncio.create_task(stuck(), name="stuck")
        await asyncio.sleep(2)
        await waiting

    with pytest.raises(Deadlock, match=r"at 2 s virtual time every task waits and no timer runs: .*stuck"):
        run_virtual(scenario())


def test_timers_are_due_even_after_many_years() -> None:
    async def scenario() -> int:
        days = 0
        for _ in range(365 * 30):
            await asyncio.sleep(86_400.1)
            days += 1
        return days

    assert run_virtual(scenario()) == 365 * 30


async def test_executors_are_refused() -> None:
    with pytest.raises(RuntimeError, match="virtual time has no threads"):
        await asyncio.to_thread(print)


async def test_the_clock_of_a_virtual_loop_is_virtual() -> None:
    clock = Clock.of(asyncio.get_running_loop())
    before = clock.now(), clock.time(), clock.stopwatch()
    await asyncio.sleep(100)
    assert (clock.now() - before[0], clock.time() - before[1], clock.stopwatch() - before[2]) == (100, 100, 100)
    assert clock.time() > 1_600_000_000


def test_the_clock_of_a_real_loop_is_real() -> None:
    async def scenario() -> None:
        clock = Clock.of(asyncio.get_running_loop())
        assert abs(clock.time() - time.time()) < 10
        assert abs(clock.now() - asyncio.get_running_loop().time()) < 10

    asyncio.run(scenario())


def test_a_virtual_loop_can_be_closed_unused() -> None:
    VirtualLoop().close()
