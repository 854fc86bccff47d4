"""Timers and owned tasks: what an instance has beside its messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fedactors.runtime import Actor, ActorSystem, Backoff, Outcome, Request, Supervision, handle

AT_ONCE = Supervision(backoff=Backoff(initial_s=0.0))


@dataclass(frozen=True, slots=True)
class Do(Request[Any]):
    what: Callable[[Script], Any]


@dataclass(frozen=True, slots=True)
class Note:
    text: Any


class Script(Actor[Do | Note]):
    """Does what it is told, and notes when it was told something."""

    def __init__(self, notes: list[tuple[float, Any]]) -> None:
        self.notes = notes

    @handle
    async def do(self, message: Do) -> Any:
        result = message.what(self)
        return await result if asyncio.iscoroutine(result) else result

    @handle
    def note(self, message: Note) -> None:
        self.notes.append((self.clock.now(), message.text))


@pytest.fixture
def notes() -> list[tuple[float, Any]]:
    return []


def bang() -> None:
    raise ValueError("bang")


async def test_a_timer_tells_its_actor_once(notes: list[Any]) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Script(notes))
        ref.tell(Do(lambda actor: actor.after(2.0, Note("late"))))
        ref.tell(Do(lambda actor: actor.after(-1.0, Note("at once"))))
        await asyncio.sleep(10)
        assert notes == [(0.0, "at once"), (2.0, "late")]


async def test_a_timer_with_the_same_key_is_replaced(notes: list[Any]) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Script(notes))
        for delay_s in (1.0, 2.0, 3.0):
            ref.tell(Do(lambda actor, delay_s=delay_s: actor.after(delay_s, Note(delay_s), key="k")))
        ref.tell(Do(lambda actor: actor.after(1.5, Note("other"), key="other")))
        await asyncio.sleep(10)
        assert notes == [(1.5, "other"), (3.0, 3.0)]


async def test_a_repeating_timer_keeps_its_beat_until_it_is_cancelled(notes: list[Any]) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Script(notes))
        ref.tell(Do(lambda actor: actor.every(0.5, Note("beat"), key="beat")))
        await asyncio.sleep(1.75)
        ref.tell(Do(lambda actor: actor.cancel("beat")))
        ref.tell(Do(lambda actor: actor.cancel("unknown")))
        await asyncio.sleep(10)
        assert notes == [(0.5, "beat"), (1.0, "beat"), (1.5, "beat")]


async def test_a_repeating_timer_does_not_pile_up_behind_a_slow_handler(notes: list[Any]) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Script(notes))
        ref.tell(Do(lambda actor: actor.every(1.0, Note("beat"))))
        ref.tell(Do(lambda actor: asyncio.sleep(10.5)))
        await asyncio.sleep(12.25)
        assert notes == [(10.5, "beat"), (11.0, "beat"), (12.0, "beat")]


async def test_nothing_comes_of_a_cancelled_timer_even_if_it_has_run_out(notes: list[Any]) -> None:
    async def sleep_and_cancel(actor: Script) -> None:
        await asyncio.sleep(2)
        assert actor.ref.statistics().depth == 2
        actor.cancel("a")
        actor.after(1.0, Note("replaced"), key="b")

    async with ActorSystem() as system:
        ref = system.spawn(lambda: Script(notes))
        for key in "ab":
            ref.tell(Do(lambda actor, key=key: actor.after(1.0, Note(key), key=key)))
        await ref.ask(Do(sleep_and_cancel))
        await asyncio.sleep(10)
        assert notes == [(3.0, "replaced")]


async def test_timers_end_with_the_instance(notes: list[Any]) -> None:
    async def sleep_and_fail(actor: Script) -> None:
        await asyncio.sleep(2)
        bang()

    async with ActorSystem(supervision=AT_ONCE) as system:
        ref = system.spawn(lambda: Script(notes))
        ref.tell(Do(lambda actor: actor.after(1.0, Note("queued"))))
        ref.tell(Do(lambda actor: actor.after(3.0, Note("running"))))
        with pytest.raises(ValueError, match="bang"):
            await ref.ask(Do(sleep_and_fail))
        ref.tell(Note("told"))
        await asyncio.sleep(10)
        assert notes == [(2.0, "told")]


async def test_a_year_of_daily_timers_comes_to_an_end(notes: list[Any]) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Script(notes))
        ref.tell(Do(lambda actor: actor.every(86_400.0, Note("day"))))
        await asyncio.sleep(365.5 * 86_400)
        assert len(notes) == 365


# -------------------------------------------------------------------------------------------------------------- owned tasks


async def slowly(value: Any, seconds: float = 1.0) -> Any:
    await asyncio.sleep(seconds)
    if isinstance(value, Exception):
        raise value
    return value


async def test_the_outcome_of_an_owned_task_comes_as_a_message_and_the_actor_goes_on_meanwhile(notes: list[Any]) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Script(notes))
        await ref.ask(Do(lambda actor: actor.run(slowly("done"), then=lambda outcome: Note(outcome.unwrap())) and None))
        ref.tell(Note("meanwhile"))
        await asyncio.sleep(2)
        assert notes == [(0.0, "meanwhile"), (1.0, "done")]


async def test_an_outcome_holds_the_error(notes: list[Any]) -> None:
    error = ValueError("sorry")
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Script(notes))
        await ref.ask(
            Do(lambda actor: actor.run(slowly(error), then=lambda outcome: Note((outcome.value, outcome.error))) and None)
        )
        await asyncio.sleep(2)
        assert notes == [(1.0, (None, error))]
        assert ref.statistics().restarts == 0
    with pytest.raises(ValueError, match="sorry"):
        Outcome(None, error).unwrap()


async def test_an_error_of_an_owned_task_without_a_then_is_a_failure_of_the_actor_even_during_a_handler() -> None:
    failures: list[str] = []
    async with ActorSystem(supervision=AT_ONCE) as system:
        system.on_failure = lambda path, error, decision: failures.append(f"{path}: {error}")
        ref = system.spawn(lambda: Script([]), name="x")
        await ref.ask(Do(lambda actor: actor.run(slowly(ValueError("in a task"))) and None))
        suspended = ref.ask(Do(lambda actor: asyncio.sleep(100)))
        await asyncio.wait([suspended])
        assert failures == ["/x: in a task"]
        assert "has ended" in str(suspended.exception())


async def test_owned_tasks_are_cancelled_with_the_instance_and_their_outcomes_with_them(notes: list[Any]) -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def sleep_and_fail(actor: Script) -> None:
        await asyncio.sleep(2)
        bang()

    async with ActorSystem(supervision=AT_ONCE) as system:
        ref = system.spawn(lambda: Script(notes))
        ref.tell(Do(lambda actor: tasks.append(actor.run(slowly("queued"), then=lambda outcome: Note("queued")))))
        ref.tell(Do(lambda actor: tasks.append(actor.run(slowly("running", 3.0), then=lambda outcome: Note("running")))))
        with pytest.raises(ValueError, match="bang"):
            await ref.ask(Do(sleep_and_fail))
        await asyncio.sleep(10)
        assert notes == []
        assert [task.cancelled() for task in tasks] == [False, True]


async def test_a_task_that_was_cancelled_ends_without_a_word(notes: list[Any]) -> None:
    tasks: list[asyncio.Task[Any]] = []
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Script(notes))
        await ref.ask(Do(lambda actor: tasks.append(actor.run(slowly(1), then=lambda outcome: Note("no"), name="mine"))))
        assert tasks[0].get_name() == "mine"
        tasks[0].cancel()
        await asyncio.sleep(2)
        assert (notes, ref.statistics().restarts) == ([], 0)


async def test_an_error_after_the_end_of_an_instance_is_nobodys_failure() -> None:
    async def awkward() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            bang()

    async with ActorSystem() as system:
        ref = system.spawn(lambda: Script([]))
        await ref.ask(Do(lambda actor: actor.run(awkward()) and None))
        ref.tell(Do(lambda actor: awkward()))
        await asyncio.sleep(1)
        ref.kill()
        await ref.join()
        assert system.statistics().failures == 0
