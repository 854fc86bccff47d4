"""Whose turn it is: fairness, seeded schedules, statistics."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.errors import ActorStopped
from fedactors.runtime import Actor, ActorRef, ActorSystem, Backoff, Request, Strategy, Supervision, Terminated, handle
from fedactors.testing import run_virtual


@dataclass(frozen=True, slots=True)
class Count:
    number: int


@dataclass(frozen=True, slots=True)
class Relay:
    """Tell every number on."""

    to: ActorRef[Any]
    sender: str
    numbers: int


@dataclass(frozen=True, slots=True)
class Seen:
    sender: str
    number: int


@dataclass(frozen=True, slots=True)
class Get(Request[list[Any]]):
    slowly: bool = False


@dataclass(frozen=True, slots=True)
class Fail: ...


class Node(Actor[Count | Relay | Seen | Get | Fail | Terminated]):
    def __init__(self, seen: list[Any] | None = None) -> None:
        self.seen = [] if seen is None else seen

    @handle
    def count(self, message: Count) -> None:
        self.seen.append(message.number)

    @handle
    def relay(self, message: Relay) -> None:
        for number in range(message.numbers):
            message.to.tell(Seen(message.sender, number))

    @handle
    def note(self, message: Seen) -> None:
        self.seen.append((message.sender, message.number))

    @handle
    async def get(self, message: Get) -> list[Any]:
        if message.slowly:
            await asyncio.sleep(0.01)
        return self.seen

    @handle
    def fail(self, message: Fail) -> None:
        raise ValueError("as told")

    @handle
    def terminated(self, message: Terminated) -> None:
        self.seen.append(message)


async def test_a_flooded_actor_lets_others_have_their_turn() -> None:
    order: list[Any] = []

    class Ordered(Node):
        @handle
        def count(self, message: Count) -> None:
            order.append(self.ref.name)

    async with ActorSystem() as system:
        flooded, other = system.spawn(Ordered, name="flooded"), system.spawn(Ordered, name="other")
        for number in range(1000):
            flooded.tell(Count(number))
        other.tell(Count(0))
        await flooded.ask(Get())
        assert order.index("other") == 64


def test_a_flood_of_messages_does_not_keep_the_event_loop() -> None:
    class Busy(Node):
        @handle
        def count(self, message: Count) -> None:
            time.sleep(0.0002)
            if message.number:
                self.ref.tell(Count(message.number - 1))

    async def scenario() -> int:
        async with ActorSystem() as system:
            refs = [system.spawn(Busy) for _ in range(10)]
            for ref in refs:
                ref.tell(Count(100))
            turns = 0
            while sum(ref.statistics().messages for ref in refs) < 1010:
                turns += 1
                await asyncio.sleep(0)
            return turns

    assert asyncio.run(scenario()) >= 20


async def test_a_task_that_asks_on_and_on_lets_the_event_loop_have_its_turn() -> None:
    async with ActorSystem() as system:
        ref, turns = system.spawn(Node), 0

        async def turning() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(turning())
        for _ in range(50_000):
            await ref.ask(Get())
        task.cancel()
        assert turns >= 3


def test_a_deep_chain_of_asks_does_not_exhaust_the_stack() -> None:
    async def scenario() -> int:
        async with ActorSystem() as system:
            refs: list[ActorRef[Any]] = []
            for index in range(2000):
                refs.append(system.spawn(lambda index=index: Link(refs, index)))
            return await refs[-1].ask(Depth())

    assert run_virtual(scenario()) == 2000


@dataclass(frozen=True, slots=True)
class Depth(Request[int]): ...


class Link(Actor[Depth]):
    def __init__(self, refs: list[ActorRef[Any]], index: int) -> None:
        self.refs = refs
        self.index = index

    @handle
    async def depth(self, message: Depth) -> int:
        return 1 + (await self.refs[self.index - 1].ask(Depth()) if self.index else 0)


async def test_statistics_count_messages_waits_and_handlers() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Node, name="node")
        await ref.ask(Get(slowly=True))
        for number in range(100):
            ref.tell(Count(number))
        assert ref.statistics().depth == 100
        await ref.ask(Get())
        statistics = ref.statistics()
        assert (statistics.path, statistics.messages, statistics.depth, statistics.restarts) == ("/node", 102, 0, 0)
        assert statistics.handler_s == pytest.approx(0.01)
        assert statistics.wait_s == 0.0
        assert [actor.path for actor in system.statistics().actors] == ["/node"]


def test_a_loop_that_lags_and_a_handler_that_keeps_it_are_logged(logs: list[Any]) -> None:
    class Blocking(Node):
        @handle
        def count(self, message: Count) -> None:
            time.sleep(0.15)

    async def scenario() -> float:
        async with ActorSystem() as system:
            ref = system.spawn(Blocking, name="blocking")
            ref.tell(Count(1))
            time.sleep(0.3)  # noqa: ASYNC251 - what it tests
            await ref.ask(Get())
            assert ref.statistics().wait_s >= 0.3
            assert ref.statistics().handler_s >= 0.15
            return system.statistics().lag_max_s

    assert asyncio.run(scenario()) >= 0.3
    assert {entry["event"] for entry in logs} >= {"loop_lags", "actor_keeps_loop"}


# --------------------------------------------------------------------------------------------------------- seeded schedules


async def race(seed: int) -> list[Any]:
    async with ActorSystem(seed=seed, shuffle=True) as system:
        sink = system.spawn(Node)
        for name in "abcd":
            system.spawn(Node).tell(Relay(sink, name, 5))
        await asyncio.sleep(1)
        return await sink.ask(Get())


def test_a_seed_gives_a_schedule_and_gives_it_again() -> None:
    outcomes = [tuple(run_virtual(race(seed))) for seed in range(20)]
    assert outcomes == [tuple(run_virtual(race(seed))) for seed in range(20)]
    assert len(set(outcomes)) > 10


@given(seed=st.integers(0, 10_000), senders=st.integers(1, 6), numbers=st.integers(1, 10))
@settings(max_examples=50, deadline=None)
def test_in_every_schedule_the_order_between_two_actors_is_kept(seed: int, senders: int, numbers: int) -> None:
    async def scenario() -> list[Any]:
        async with ActorSystem(seed=seed, shuffle=True) as system:
            sink = system.spawn(Node)
            for sender in range(senders):
                system.spawn(Node).tell(Relay(sink, str(sender), numbers))
            await asyncio.sleep(1)
            return await sink.ask(Get())

    seen = run_virtual(scenario())
    for sender in range(senders):
        assert [number for name, number in seen if name == str(sender)] == list(range(numbers))


class Watching(Node):
    def __init__(self, target: ActorRef[Any], seen: list[Any]) -> None:
        super().__init__(seen)
        self.target = target

    def started(self) -> None:
        self.watch(self.target)
        self.target.tell(Relay(self.ref, "target", 5))


@given(seed=st.integers(0, 10_000), how=st.sampled_from(["stop", "drain", "kill", "fail"]), delay=st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_in_every_schedule_a_watcher_hears_the_end_once_and_last(seed: int, how: str, delay: int) -> None:
    async def scenario() -> list[Any]:
        seen: list[Any] = []
        async with ActorSystem(seed=seed, shuffle=True, supervision=Supervision(max_restarts=0)) as system:
            target = system.spawn(Node)
            system.spawn(lambda: Watching(target, seen))
            for _ in range(delay):
                await asyncio.sleep(0)
            match how:
                case "fail":
                    target.tell(Fail())
                case "kill":
                    target.kill()
                case _:
                    target.stop(drain=how == "drain")
            await target.join()
            await asyncio.sleep(1)
        return seen

    seen = run_virtual(scenario())
    assert [type(entry) is Terminated for entry in seen] == [False] * (len(seen) - 1) + [True]
    assert len(seen) in {1, 6}


@given(seed=st.integers(0, 10_000), strategy=st.sampled_from(Strategy), script=st.lists(st.integers(0, 11), max_size=25))
@settings(max_examples=150, deadline=None)
def test_in_every_schedule_every_ask_is_answered_or_refused_and_all_actors_end(
    seed: int, strategy: Strategy, script: list[int]
) -> None:
    async def scenario() -> None:
        policy = Supervision(strategy, max_restarts=1000, backoff=Backoff(initial_s=0.005, cap_s=0.02))
        async with ActorSystem(seed=seed, shuffle=True, supervision=policy) as system:
            refs = [system.spawn(Node, capacity=3) for _ in range(3)]
            answers = []
            for step in script:
                ref = refs[step % 3]
                match step // 3:
                    case 0:
                        answers.append(ref.ask(Get(slowly=True)))
                    case 1:
                        answers.append(ref.ask(Get()))
                    case 2:
                        await ref.send(Fail())  # type: ignore[arg-type]
                    case _ if step == 11:
                        ref.kill()
                    case _:
                        await asyncio.sleep(0.003)
            for answer in answers:
                with suppress(ActorStopped):
                    await asyncio.wait_for(answer, 10)
        assert not any(ref.alive for ref in refs)
        assert len(asyncio.all_tasks()) == 1

    run_virtual(scenario())


class LateStarter(Node):
    async def started(self) -> None:
        await asyncio.sleep(0)


def test_an_actor_is_not_blamed_for_the_time_before_it_began(logs):
    async def body() -> None:
        async with ActorSystem() as system:
            await asyncio.sleep(3_600)
            system.spawn(LateStarter)
            await asyncio.sleep(1)

    run_virtual(body())
    assert not [line for line in logs if line["event"] == "actor_keeps_loop"]
