"""What becomes of actors that fail: every strategy, every kind of restart, every place to fail in."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from fedactors.errors import ActorError, ActorStopped
from fedactors.runtime import (
    Action,
    Actor,
    ActorRef,
    ActorSystem,
    Backoff,
    Decision,
    Request,
    Restart,
    Strategy,
    Supervision,
    Terminated,
    handle,
)
from fedactors.testing import Probe

AT_ONCE = Backoff(initial_s=0.0)


class Bang(Exception): ...


@dataclass(frozen=True, slots=True)
class Fail(Request[None]):
    where: str = "handler"


@dataclass(frozen=True, slots=True)
class Ping(Request[int]): ...


@dataclass(frozen=True, slots=True)
class Quit: ...


@dataclass
class Diary:
    """What the children did, and how often each has started."""

    entries: list[str] = field(default_factory=list)
    starts: dict[str, int] = field(default_factory=dict)
    fail_at_start: dict[str, set[int]] = field(default_factory=dict)
    fail_at_stop: set[str] = field(default_factory=set)
    slow_hooks: bool = False


class Child(Actor[Fail | Ping | Quit]):
    def __init__(self, name: str, diary: Diary) -> None:
        self.name = name
        self.diary = diary

    def started(self) -> Any:
        number = self.diary.starts[self.name] = self.diary.starts.get(self.name, 0) + 1
        self.diary.entries.append(f"{self.name} starts")
        if self.diary.slow_hooks:
            return self._slowly_started(number)
        return self._check_start(number)

    async def _slowly_started(self, number: int) -> None:
        await asyncio.sleep(0.01)
        self._check_start(number)

    def _check_start(self, number: int) -> None:
        if number in self.diary.fail_at_start.get(self.name, ()):
            raise Bang(f"{self.name} at its start {number}")

    def stopped(self, reason: BaseException | None) -> Any:
        self.diary.entries.append(f"{self.name} stops")
        if self.name in self.diary.fail_at_stop:
            raise Bang(f"{self.name} at its stop")
        return asyncio.sleep(0.01) if self.diary.slow_hooks else None

    @handle
    async def fail(self, message: Fail) -> None:
        if message.where == "task":
            self.run(self._failing_task())
            await asyncio.sleep(1)
        elif message.where == "outcome":
            self.run(asyncio.sleep(0.01), then=self._failing_outcome)
        elif message.where == "after an await":
            await asyncio.sleep(0.01)
            raise Bang(self.name)
        else:
            raise Bang(self.name)

    async def _failing_task(self) -> None:
        await asyncio.sleep(0.01)
        raise Bang(self.name)

    def _failing_outcome(self, outcome: Any) -> Ping:
        raise Bang(self.name)

    @handle
    def ping(self, message: Ping) -> int:
        return self.diary.starts[self.name]

    @handle
    def quit(self, message: Quit) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class Children(Request[dict[str, ActorRef[Any]]]): ...


def parent_of(diary: Diary, supervision_: Supervision, restart: Restart = Restart.PERMANENT) -> type[Actor[Children]]:
    """An actor with the children a, b and c, of which b is restarted as given."""

    class Parent(Actor[Children]):
        supervision: ClassVar[Supervision] = supervision_

        def started(self) -> None:
            diary.entries.append("parent starts")
            self.children = {
                name: self.spawn(
                    lambda name=name: Child(name, diary), name=name, restart=restart if name == "b" else Restart.PERMANENT
                )
                for name in "abc"
            }

        @handle
        def get(self, message: Children) -> dict[str, ActorRef[Any]]:
            return self.children

    return Parent


PLACES = ("handler", "after an await", "task", "outcome")
AFFECTED = {Strategy.ONE_FOR_ONE: "b", Strategy.REST_FOR_ONE: "bc", Strategy.ONE_FOR_ALL: "abc"}


@pytest.mark.parametrize("slow_hooks", [False, True])
@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("restart", Restart)
@pytest.mark.parametrize("strategy", Strategy)
async def test_failure_matrix(strategy: Strategy, restart: Restart, where: str, slow_hooks: bool) -> None:
    diary = Diary(slow_hooks=slow_hooks)
    failures: list[tuple[str, str, str]] = []
    async with ActorSystem() as system:
        system.on_failure = lambda path, error, decision: failures.append((path, str(error), str(decision)))
        parent = system.spawn(parent_of(diary, Supervision(strategy, backoff=AT_ONCE), restart), name="parent")
        children = await parent.ask(Children())
        probe: Probe[Any] = Probe(system)
        probe.watch(children["b"])
        await asyncio.sleep(1)
        diary.entries.clear()
        children["b"].tell(Fail(where))
        await asyncio.sleep(1)
        affected = AFFECTED[strategy] if restart is not Restart.TEMPORARY else ""
        assert [diary.starts[name] for name in "abc"] == [2 if name in affected else 1 for name in "abc"]
        if restart is Restart.TEMPORARY:
            assert failures == [("/parent/b", "b", "stop")]
            assert diary.entries == ["b stops"]
            terminated = await probe.expect(Terminated)
            assert (terminated.ref, repr(terminated.reason)) == (children["b"], "Bang('b')")
        else:
            assert failures == [("/parent/b", "b", "restart")]
            stops = [entry[0] for entry in diary.entries if entry.endswith("stops")]
            starts = [entry[0] for entry in diary.entries if entry.endswith("starts")]
            assert sorted(stops) == starts == list(affected)
            assert [name for name in stops if name != "b"] == [name for name in reversed(affected) if name != "b"]
            assert probe.received == []
            assert [await children[name].ask(Ping()) for name in "abc"] == [diary.starts[name] for name in "abc"]


@pytest.mark.parametrize("slow_hooks", [False, True])
@pytest.mark.parametrize("strategy", Strategy)
async def test_an_actor_that_fails_when_it_starts_is_started_again(strategy: Strategy, slow_hooks: bool) -> None:
    diary = Diary(slow_hooks=slow_hooks, fail_at_start={"b": {1, 2}})
    async with ActorSystem() as system:
        parent = system.spawn(parent_of(diary, Supervision(strategy, backoff=AT_ONCE)))
        children = await parent.ask(Children())
        await asyncio.sleep(1)
        assert await children["b"].ask(Ping()) == 3
        assert "b stops" not in diary.entries
        assert [await children[name].ask(Ping()) for name in "abc"] == [diary.starts[name] for name in "abc"]


@pytest.mark.parametrize("strategy", Strategy)
async def test_a_failing_stop_is_logged_and_does_not_keep_the_actor_from_its_restart(strategy: Strategy, logs: list[Any]) -> None:
    diary = Diary(fail_at_stop={"b"})
    async with ActorSystem() as system:
        parent = system.spawn(parent_of(diary, Supervision(strategy, backoff=AT_ONCE)))
        children = await parent.ask(Children())
        with pytest.raises(Bang):
            await children["b"].ask(Fail())
        assert await children["b"].ask(Ping()) == 2
        assert [entry["error"] for entry in logs if entry["event"] == "stopped_failed"] == ["Bang('b at its stop')"]
        children["b"].stop()
        await children["b"].join()


async def test_a_factory_that_raises_at_first_is_the_spawners_error_and_at_a_restart_a_failure() -> None:
    diary, attempts = Diary(), itertools.count()

    def factory() -> Child:
        if next(attempts) in {0, 2}:
            raise Bang("no parts")
        return Child("x", diary)

    async with ActorSystem(supervision=Supervision(backoff=AT_ONCE)) as system:
        with pytest.raises(Bang, match="no parts"):
            system.spawn(factory, name="x")
        ref = system.spawn(factory, name="x")
        with pytest.raises(Bang):
            await ref.ask(Fail())
        assert await ref.ask(Ping()) == 2
        assert ref.statistics().restarts == 2


async def test_an_exception_goes_to_the_asker_and_to_supervision_and_carries_its_story(logs: list[Any]) -> None:
    diary = Diary()
    async with ActorSystem(supervision=Supervision(backoff=AT_ONCE)) as system:
        ref = system.spawn(lambda: Child("x", diary), name="x")
        await ref.ask(Ping())
        with pytest.raises(Bang) as raised:
            await ref.ask(Fail())
        assert raised.value.__notes__ == ["in actor /x; its last messages: Ping, Fail; decision: restart"]
        assert await ref.ask(Ping()) == 2
    failed = next(entry for entry in logs if entry["event"] == "actor_failed")
    assert (failed["actor"], failed["recent"], failed["log_level"]) == ("/x", ["Ping", "Fail"], "error")


async def test_the_failing_message_is_not_delivered_again_and_what_is_queued_is_kept() -> None:
    diary = Diary()
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Child("x", diary))
        failing, queued = ref.ask(Fail()), ref.ask(Ping())
        with pytest.raises(Bang):
            await failing
        assert await queued == 2


async def test_senders_see_latency_only_while_an_actor_waits_for_its_restart() -> None:
    diary = Diary()
    async with ActorSystem(supervision=Supervision(backoff=Backoff(initial_s=5.0, jitter=0.0))) as system:
        ref = system.spawn(lambda: Child("x", diary))
        ref.tell(Fail())
        await asyncio.sleep(1)
        assert await ref.ask(Ping()) == 2
        assert asyncio.get_running_loop().time() == pytest.approx(5.0)


async def test_restarts_wait_longer_and_longer_up_to_the_cap() -> None:
    diary, delays = Diary(), []
    policy = Supervision(max_restarts=10, backoff=Backoff(initial_s=1.0, cap_s=5.0, jitter=0.0))
    async with ActorSystem(supervision=policy) as system:
        system.on_failure = lambda path, error, decision: delays.append(decision.delay_s)
        ref = system.spawn(lambda: Child("x", diary))
        for _ in range(5):
            with pytest.raises(Bang):
                await ref.ask(Fail())
        assert delays == [1.0, 2.0, 4.0, 5.0, 5.0]


async def test_too_many_restarts_of_an_actor_at_the_top_are_the_systems_failure() -> None:
    diary, decisions = Diary(), []
    async with ActorSystem(supervision=Supervision(max_restarts=2, backoff=AT_ONCE)) as system:
        system.on_failure = lambda path, error, decision: decisions.append(str(decision))
        ref, other = system.spawn(lambda: Child("x", diary)), system.spawn(lambda: Child("y", diary))
        waiting = asyncio.create_task(system.wait_failed())
        for _ in range(3):
            ref.tell(Fail())
        queued = ref.ask(Ping())
        assert repr(await waiting) == repr(await system.wait_failed()) == "Bang('x')"
        with pytest.raises(ActorStopped):
            await queued
        assert decisions == ["restart", "restart", "escalate"]
        assert not ref.alive
        assert await other.ask(Ping()) == 1


async def test_too_many_restarts_of_a_child_are_its_parents_failure() -> None:
    diary, failures = Diary(), []
    async with ActorSystem(supervision=Supervision(backoff=AT_ONCE)) as system:
        system.on_failure = lambda path, error, decision: failures.append((path, str(decision)))
        parent = system.spawn(parent_of(diary, Supervision(max_restarts=0)), name="p")
        children = await parent.ask(Children())
        children["b"].tell(Fail())
        await children["b"].join()
        again = await parent.ask(Children())
        assert failures == [("/p/b", "escalate"), ("/p", "restart")]
        assert diary.starts == {"a": 2, "b": 2, "c": 2}
        assert [child.alive for child in children.values()] == [False, False, False]
        assert await again["b"].ask(Ping()) == 2


async def test_a_temporary_sibling_of_a_restarted_group_is_not_started_again() -> None:
    diary = Diary()
    async with ActorSystem() as system:
        parent = system.spawn(parent_of(diary, Supervision(Strategy.ONE_FOR_ALL, backoff=AT_ONCE), Restart.TEMPORARY))
        children = await parent.ask(Children())
        with pytest.raises(Bang):
            await children["a"].ask(Fail())
        await asyncio.sleep(1)
        assert await children["c"].ask(Ping()) == 2
        assert (diary.starts["b"], children["b"].alive) == (1, False)


async def test_a_suspended_handler_of_a_sibling_is_cancelled_when_the_group_is_restarted() -> None:
    diary = Diary()
    async with ActorSystem() as system:
        parent = system.spawn(parent_of(diary, Supervision(Strategy.ONE_FOR_ALL, backoff=AT_ONCE)))
        children = await parent.ask(Children())
        suspended = children["c"].ask(Fail("task"))
        await asyncio.sleep(0.005)
        children["a"].tell(Fail())
        with pytest.raises(ActorStopped, match="has ended before it answered Fail"):
            await suspended


@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("strategy", Strategy)
async def test_of_two_that_fail_together_both_are_restarted(strategy: Strategy, order: str) -> None:
    diary = Diary()
    async with ActorSystem() as system:
        parent = system.spawn(parent_of(diary, Supervision(strategy, backoff=AT_ONCE)))
        children = await parent.ask(Children())
        for name in order:
            children[name].tell(Fail())
        await asyncio.sleep(1)
        assert [await children[name].ask(Ping(), timeout_s=1) for name in "abc"] == [diary.starts[name] for name in "abc"]
        assert diary.starts["a"] == diary.starts["b"] == 2


@pytest.mark.parametrize(("restart", "starts"), [(Restart.PERMANENT, 2), (Restart.TRANSIENT, 1), (Restart.TEMPORARY, 1)])
async def test_an_actor_that_stops_itself_is_restarted_if_it_is_permanent(restart: Restart, starts: int) -> None:
    diary = Diary()
    async with ActorSystem(supervision=Supervision(backoff=AT_ONCE)) as system:
        ref = system.spawn(lambda: Child("x", diary), restart=restart)
        ref.tell(Quit())
        await asyncio.sleep(1)
        assert (diary.starts["x"], ref.alive) == (starts, restart is Restart.PERMANENT)
        assert diary.entries[:2] == ["x starts", "x stops"]


async def test_a_permanent_actor_that_others_stop_is_not_restarted() -> None:
    diary = Diary()
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Child("x", diary))
        ref.stop()
        await ref.join()
        await asyncio.sleep(100)
        assert diary.entries == ["x starts", "x stops"]


@pytest.mark.parametrize("how", ["stop", "drain", "kill"])
async def test_an_actor_that_waits_for_its_restart_can_be_stopped(how: str) -> None:
    diary = Diary()
    async with ActorSystem(supervision=Supervision(backoff=Backoff(initial_s=5.0, jitter=0.0))) as system:
        ref = system.spawn(lambda: Child("x", diary))
        ref.tell(Fail())
        await asyncio.sleep(1)
        queued = ref.ask(Ping())
        ref.kill() if how == "kill" else ref.stop(drain=how == "drain")
        with pytest.raises(ActorStopped):
            await queued
        await ref.join()
        assert asyncio.get_running_loop().time() == pytest.approx(1.0)
        await asyncio.sleep(10)
        assert diary.starts == {"x": 1}


async def test_a_parent_that_ends_does_not_wait_for_the_restart_of_a_child() -> None:
    diary = Diary()
    async with ActorSystem() as system:
        parent = system.spawn(parent_of(diary, Supervision(backoff=Backoff(initial_s=50.0))))
        children = await parent.ask(Children())
        children["b"].tell(Fail())
        await asyncio.sleep(1)
        parent.stop()
        await parent.join()
        assert asyncio.get_running_loop().time() == pytest.approx(1.0)
        assert diary.entries[-2:] == ["c stops", "a stops"]


async def test_a_cancellation_that_escapes_a_handler_is_a_failure_like_any_other() -> None:
    class Careless(Actor[Fail | Ping]):
        @handle
        async def fail(self, message: Fail) -> None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            if message.where == "handler":
                future.result()
            await future

        @handle
        def ping(self, message: Ping) -> int:
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            future.cancel()
            return future.result()

    async with ActorSystem(supervision=Supervision(backoff=AT_ONCE)) as system:
        ref = system.spawn(Careless)
        for message in (Fail(), Ping(), Fail("await"), Ping()):
            with pytest.raises(ActorError, match=r"cancellation escape|raised CancelledError"):
                await ref.ask(message)
        await asyncio.sleep(0)
        assert ref.statistics().restarts >= 3


async def test_a_stop_iteration_from_a_plain_handler_reaches_the_asker_as_an_actor_error() -> None:
    class Iterating(Actor[Ping]):
        @handle
        def ping(self, message: Ping) -> int:
            return next(iter(()))

    async with ActorSystem() as system:
        with pytest.raises(ActorError, match="raised StopIteration"):
            await system.spawn(Iterating).ask(Ping())


async def test_children_of_a_restarted_actor_are_stopped_in_reverse_order_before_it() -> None:
    diary = Diary()

    class Top(Child):
        def started(self) -> None:
            super().started()
            for name in "ab":
                self.spawn(lambda name=name: Child(name, diary), name=name)

    async with ActorSystem(supervision=Supervision(backoff=AT_ONCE)) as system:
        ref = system.spawn(lambda: Top("top", diary))
        with pytest.raises(Bang):
            await ref.ask(Fail())
        await ref.ask(Ping())
        assert diary.entries == [
            *("top starts", "a starts", "b starts"),
            *("b stops", "a stops", "top stops"),
            *("top starts", "a starts", "b starts"),
        ]


def test_a_decision_reads_as_words() -> None:
    assert str(Decision(Action.RESTART, 0.25)) == "restart after 0.25 s"
    assert str(Decision(Action.ESCALATE)) == "escalate"
