from __future__ import annotations

import asyncio

from fedactors.runtime import Actor, ActorSystem, handle
from fedactors.simulation.agenda import Agenda
from fedactors.simulation.clock import run_virtual
from fedactors.simulation.luck import Luck


class Diary(Actor[str]):
    def __init__(self) -> None:
        self.entries: list[tuple[float, str]] = []

    @handle
    def note(self, message: str) -> None:
        self.entries.append((self.clock.now(), message))


async def told(*entries: tuple[float, str], close_at_s: float = 100.0) -> list[tuple[float, str]]:
    """What an actor is told, and when, of entries made in this order."""
    async with ActorSystem() as system:
        agenda, diary = Agenda(asyncio.get_running_loop()), Diary()
        ref = system.spawn(lambda: diary)
        for due_s, message in entries:
            agenda.enter(due_s, ref, message)
        await asyncio.sleep(close_at_s)
        agenda.close()
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


def test_nothing_comes_of_a_closed_agenda():
    assert run_virtual(told((1.0, "a"), (2.0, "b"), close_at_s=1.5)) == [(1.0, "a")]


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
