"""Answers that are given later, and actors that wait for each other in a circle."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fedactors.errors import ActorStopped, AskCycle, AskTimeout
from fedactors.runtime import Actor, ActorRef, ActorSystem, Backoff, Deferred, Request, Supervision, handle

AT_ONCE = Supervision(backoff=Backoff(initial_s=0.0))


@dataclass(frozen=True, slots=True)
class Borrow(Request[str]):
    slowly: bool = False


@dataclass(frozen=True, slots=True)
class GiveBack:
    value: str


@dataclass(frozen=True, slots=True)
class Refuse: ...


@dataclass(frozen=True, slots=True)
class Fail: ...


class Library(Actor[Borrow | GiveBack | Refuse | Fail]):
    def __init__(self, waiting: list[Deferred[str]]) -> None:
        self.waiting = waiting

    @handle
    async def borrow(self, message: Borrow) -> str | Deferred[str]:
        if message.slowly:
            await asyncio.sleep(1)
        deferred: Deferred[str] = self.reply_later()
        self.waiting.append(deferred)
        return "is ignored" if message.slowly else deferred

    @handle
    def give_back(self, message: GiveBack) -> None:
        self.waiting.pop(0).resolve(message.value)

    @handle
    def refuse(self, message: Refuse) -> None:
        self.waiting.pop(0).reject(LookupError("none left"))

    @handle
    def fail(self, message: Fail) -> None:
        raise ValueError("as told")


@pytest.mark.parametrize("slowly", [False, True])
async def test_a_deferred_reply_lets_the_actor_go_on(slowly: bool) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Library([]))
        first, second = ref.ask(Borrow(slowly)), ref.ask(Borrow())
        ref.tell(GiveBack("a book"))
        ref.tell(Refuse())
        assert await first == "a book"
        with pytest.raises(LookupError):
            await second
        assert ref.statistics().restarts == 0


async def test_a_deferred_reply_is_done_when_answered_or_when_the_asker_is_gone_and_then_answering_is_nothing() -> None:
    waiting: list[Deferred[str]] = []
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Library(waiting))
        answered, cancelled, late = ref.ask(Borrow()), ref.ask(Borrow()), ref.ask(Borrow(), timeout_s=1)
        await asyncio.sleep(0.5)
        assert [deferred.done() for deferred in waiting] == [False, False, False]
        waiting[0].resolve("a book")
        cancelled.cancel()
        with pytest.raises(AskTimeout):
            await late
        assert [deferred.done() for deferred in waiting] == [True, True, True]
        for deferred in waiting:
            deferred.resolve("another")
            deferred.reject(ValueError())
        assert await answered == "a book"


async def test_a_request_that_was_told_has_nobody_to_answer() -> None:
    waiting: list[Deferred[str]] = []
    async with ActorSystem() as system:
        system.spawn(lambda: Library(waiting)).tell(Borrow())
        await asyncio.sleep(1)
        assert waiting[0].done()
        waiting[0].resolve("a book")
        waiting[0].reject(ValueError())


@pytest.mark.parametrize("end", [ActorRef.stop, ActorRef.kill, lambda ref: ref.tell(Fail())])
async def test_an_actor_that_ends_without_answering_leaves_no_asker_waiting(end: Callable[[ActorRef[Any]], None]) -> None:
    async with ActorSystem(supervision=AT_ONCE) as system:
        ref = system.spawn(lambda: Library([]), name="library")
        answer = ref.ask(Borrow())
        await asyncio.sleep(1)
        end(ref)
        with pytest.raises(ActorStopped, match="/library has ended before it answered Borrow"):
            await answer


# ------------------------------------------------------------------------------------------------------------------- circles


@dataclass(frozen=True, slots=True)
class Call(Request[str]):
    """Ask the next one of these the same, with the rest."""

    chain: tuple[ActorRef[Any], ...]
    how: str = "await"


class Caller(Actor[Call]):
    def __init__(self) -> None:
        self.left = 0

    @handle
    async def call(self, message: Call) -> str:
        if not message.chain:
            return "end"
        target, rest = message.chain[0], Call(message.chain[1:], message.how)
        match message.how:
            case "gather":
                answers = await asyncio.gather(asyncio.sleep(1), target.ask(rest))
                return str(answers[1])
            case "timeout":
                async with asyncio.timeout(100):
                    return await target.ask(rest)
            case "shield":
                return await asyncio.shield(target.ask(rest))
            case _:
                return await target.ask(rest)


def callers(system: ActorSystem, names: str) -> list[ActorRef[Call]]:
    return [system.spawn(Caller, name=name) for name in names]


@pytest.mark.parametrize("how", ["await", "gather", "timeout", "shield"])
async def test_a_circle_of_asks_is_reported_with_its_chain(how: str) -> None:
    async with ActorSystem(supervision=AT_ONCE) as system:
        a, b, c = callers(system, "abc")
        with pytest.raises(AskCycle, match=r"(/[abc] -> ){3}/[abc]: each waits"):
            await a.ask(Call((b, c, a), how))
        assert asyncio.get_running_loop().time() <= 1.0
        await asyncio.sleep(5)
        assert await a.ask(Call((b, c), how)) == "end"


async def test_an_actor_that_asks_itself_is_a_circle() -> None:
    async with ActorSystem(supervision=AT_ONCE) as system:
        (a,) = callers(system, "a")
        with pytest.raises(AskCycle, match="/a -> /a: each waits"):
            await a.ask(Call((a,)))


async def test_two_actors_that_ask_each_other_at_the_same_time_are_a_circle() -> None:
    @dataclass(frozen=True, slots=True)
    class Later(Call): ...

    class Slow(Caller):
        async def call(self, message: Call) -> str:
            if len(message.chain) == 1:
                await asyncio.sleep(1)
                return await message.chain[0].ask(Call(()), timeout_s=5)
            return "end"

    async with ActorSystem(supervision=AT_ONCE) as system:
        a, b = system.spawn(Slow, name="a"), system.spawn(Slow, name="b")
        answers = await asyncio.gather(a.ask(Call((b,))), b.ask(Call((a,))), return_exceptions=True)
        assert [type(answer) for answer in answers].count(AskCycle) >= 1
        assert asyncio.get_running_loop().time() < 5


async def test_a_chain_without_a_circle_is_none() -> None:
    async with ActorSystem() as system:
        a, b, c = callers(system, "abc")
        assert await asyncio.gather(*(a.ask(Call((b, c))), b.ask(Call((c,))), a.ask(Call((c,))))) == ["end"] * 3  # fmt: skip


async def test_an_owned_task_may_ask_in_a_circle_for_the_actor_goes_on() -> None:
    class Free(Caller):
        @handle
        def call(self, message: Call) -> str | Deferred[str]:
            if not message.chain:
                return "end"
            deferred: Deferred[str] = self.reply_later()

            async def asking() -> None:
                deferred.resolve(await message.chain[0].ask(Call(message.chain[1:])))

            self.run(asking())
            return deferred

    async with ActorSystem() as system:
        a, b = system.spawn(Free, name="a"), system.spawn(Caller, name="b")
        assert await a.ask(Call((b, a))) == "end"
        assert await a.ask(Call((a, a, a))) == "end"


async def test_what_a_finished_handler_has_not_awaited_is_no_part_of_a_circle() -> None:
    class Hasty(Caller):
        async def call(self, message: Call) -> str:
            if message.chain and message.how == "hasty":
                try:
                    await asyncio.gather(failing(), message.chain[0].ask(Call((), "sleep")))
                except ValueError:
                    return "gave up"
            if message.how == "sleep":
                await asyncio.sleep(5)
            elif message.chain:
                return await message.chain[0].ask(Call(()))
            return "end"

    async def failing() -> None:
        await asyncio.sleep(1)
        raise ValueError

    async with ActorSystem() as system:
        a, b = system.spawn(Hasty, name="a"), system.spawn(Hasty, name="b")
        assert await a.ask(Call((b,), "hasty")) == "gave up"
        assert await b.ask(Call((a,))) == "end"


async def test_an_answer_may_be_awaited_in_every_way_of_asyncio() -> None:
    async with ActorSystem() as system:
        (a,) = callers(system, "a")

        async def in_time(answer: Awaitable[str]) -> str:
            return await asyncio.wait_for(answer, 1)

        assert await in_time(a.ask(Call(()))) == "end"
        done, _ = await asyncio.wait([a.ask(Call(())), a.ask(Call(()))], timeout=1)
        assert [answer.result() for answer in done] == ["end", "end"]
        assert [await answer for answer in asyncio.as_completed([a.ask(Call(())), a.ask(Call(()))])] == ["end", "end"]
        answer = a.ask(Call(()))
        assert [await answer, await answer] == ["end", "end"]
        shared = a.ask(Call(()))
        assert await asyncio.gather(*(asyncio.wait_for(shared, 1) for _ in range(3))) == ["end"] * 3
    gc.collect()
