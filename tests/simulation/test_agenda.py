from __future__ import annotations

import asyncio

from fedactors.runtime import Actor, ActorSystem, handle
from fedactors.simulation.clock import VirtualLoop, run_virtual
from fedactors.simulation.luck import Luck


class Diary(Actor[str]):
    def __init__(self) -> None:
        self.entries: list[tuple[float, str]] = []
        self.done = asyncio.Event()

    @handle
    def note(self, message: str) -> None:
        self.entries.append((self.clock.now(), message))
        self.done.set()


async def told(*entries: tuple[float, str], clear_at_s: float = 100.0) -> list[tuple[float, str]]:
    """What an actor is told, and when, of entries made in this order."""
    async with ActorSystem() as system:
        loop, diary = asyncio.get_running_loop(), Diary()
        assert isinstance(loop, VirtualLoop)
        ref = system.spawn(lambda: diary)
        for due_s, message in entries:
            loop.agenda.enter(due_s, ref, message)
        await asyncio.sleep(clear_at_s)
        loop.agenda.clear()
        await asyncio.sleep(200.0)
        return diary.entries


def test_everybody_is_told_at_the_time_that_was_entered_whatever_the_order_of_entering():
    assert run_virtual(told((3.0, "c"), (1.0, "a"), (2.0, "b"), (0.0, "now"))) == [
        (0.0, "now"),
        (1.0, "a"),
        (2.0, "b"),
        (3.0, "c"),
    ]


def test_of_those_that_are_due_together_the_one_entered_first_is_told_first():
    assert [message for _, message in run_virtual(told((1.0, "z"), (1.0, "y"), (0.5, "x"), (1.0, "w")))] == ["x", "z", "y", "w"]


def test_nothing_comes_of_a_cleared_agenda():
    assert run_virtual(told((1.0, "a"), (2.0, "b"), clear_at_s=1.5)) == [(1.0, "a")]


def test_what_is_entered_is_told_although_no_timer_runs():
    async def waits() -> list[tuple[float, str]]:
        async with ActorSystem() as system:
            loop, diary, done = asyncio.get_running_loop(), Diary(), asyncio.Event()
            assert isinstance(loop, VirtualLoop)
            diary.done = done
            loop.agenda.enter(86_400.0, system.spawn(lambda: diary), "a day later")
            await done.wait()
            return diary.entries

    assert run_virtual(waits()) == [(86_400.0, "a day later")]


def test_a_learners_luck_is_its_own_and_the_same_each_time():
    one, two, other = Luck(1, 7), Luck(1, 7), Luck(1, 8)
    drawn = [one.uniform() for _ in range(2_000)]
    assert drawn == [two.uniform() for _ in range(2_000)]
    assert drawn[:5] != [other.uniform() for _ in range(5)]
    assert min(drawn) >= 0.0
    assert max(drawn) < 1.0
    assert abs(sum(drawn) / len(drawn) - 0.5) < 0.02
    waits = [one.exponential(600.0) for _ in range(2_000)]
    assert abs(sum(waits) / len(waits) - 600.0) < 40.0
