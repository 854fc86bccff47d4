"""Stop, drain and kill; the end of a system; death watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fedactors.errors import ActorStopped
from fedactors.runtime import Actor, ActorRef, ActorSystem, Backoff, Request, Restart, Supervision, Terminated, handle
from fedactors.testing import Probe


@dataclass(frozen=True, slots=True)
class Work(Request[int]):
    number: int
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Say:
    to: ActorRef[Any]
    number: int


@dataclass(frozen=True, slots=True)
class Fail: ...


class Worker(Actor[Work | Say | Fail]):
    def __init__(self, done: list[Any] | None = None) -> None:
        self.done = [] if done is None else done

    def stopped(self, reason: BaseException | None) -> Any:
        self.done.append("stopped")

    @handle
    async def work(self, message: Work) -> int:
        try:
            await asyncio.sleep(message.seconds)
        except asyncio.CancelledError:
            self.done.append("cancelled")
            raise
        self.done.append(message.number)
        return message.number

    @handle
    def say(self, message: Say) -> None:
        message.to.tell(message.number)

    @handle
    def fail(self, message: Fail) -> None:
        raise ValueError("as told")


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_stop_ends_an_actor_after_the_message_at_hand() -> None:
    done: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Worker(done))
        first, second = ref.ask(Work(1)), ref.ask(Work(2))
        await asyncio.sleep(0.5)
        ref.stop()
        assert await first == 1
        with pytest.raises(ActorStopped, match="before it answered Work"):
            await second
        await ref.join()
        assert (done, now()) == ([1, "stopped"], pytest.approx(1.0))


async def test_drain_ends_an_actor_after_what_is_queued() -> None:
    done: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Worker(done))
        ref.tell(Work(1))
        ref.tell(Work(2))
        ref.stop(drain=True)
        ref.tell(Work(3))
        await ref.join()
        assert done == [1, 2, "stopped"]
        assert system.dead_letters == 1


async def test_kill_cancels_a_suspended_handler() -> None:
    done: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Worker(done))
        first, second = ref.ask(Work(1)), ref.ask(Work(2))
        await asyncio.sleep(0.5)
        ref.kill()
        assert not first.cancelled()
        for answer in (first, second):
            with pytest.raises(ActorStopped):
                await answer
        await ref.join()
        assert (done, now()) == (["cancelled", "stopped"], pytest.approx(0.5))


@pytest.mark.parametrize("how", ["stop", "drain", "kill"])
async def test_an_actor_may_be_stopped_twice_and_when_it_is_gone(how: str) -> None:
    done: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Worker(done))
        for _ in range(3):
            ref.kill() if how == "kill" else ref.stop(drain=how == "drain")
        await ref.join()
        await ref.join()
        ref.kill() if how == "kill" else ref.stop(drain=how == "drain")
        assert (done, system.dead_letters) == (["stopped"], 0)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_an_actor_may_end_itself_in_a_handler_and_handles_nothing_after_it(how: str) -> None:
    class Ending(Worker):
        @handle
        def fail(self, message: Fail) -> None:
            self.done.append("ending")
            self.stop() if how == "stop" else self.ref.kill()

    done: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(lambda: Ending(done), restart=Restart.TRANSIENT)
        ref.tell(Fail())
        ref.tell(Say(ref, 1))
        await ref.join()
        assert (done, system.dead_letters) == (["ending", "stopped"], 1)


async def test_a_message_to_an_actor_that_is_gone_is_a_dead_letter_and_logged_with_a_limit(logs: list[Any]) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Worker)
        ref.stop()
        await ref.join()
        for number in range(100):
            ref.tell(Say(ref, number))
        assert system.dead_letters == system.statistics().dead_letters == 100
        assert sum(entry["event"] == "dead_letter" for entry in logs) == 10
        await asyncio.sleep(20)
        ref.tell(Say(ref, 0))
        assert sum(entry["event"] == "dead_letter" for entry in logs) == 11


async def test_leaving_the_system_stops_the_actors_in_reverse_order() -> None:
    order: list[str] = []

    class Named(Worker):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def started(self) -> None:
            if len(self.name) == 1:
                for suffix in "xy":
                    self.spawn(lambda suffix=suffix: Named(self.name + suffix), name=suffix)

        async def stopped(self, reason: BaseException | None) -> None:
            await asyncio.sleep(0.1)
            order.append(self.name)

    async with ActorSystem() as system:
        for name in "ab":
            system.spawn(lambda name=name: Named(name), name=name)
        assert system.tree().splitlines() == [
            "fedactors",
            "  a (Named, permanent, running, 0 restarts 0 queued)",
            "    x (Named, permanent, 0 queued)",
            "    y (Named, permanent, 0 queued)",
            "  b (Named, permanent, running, 0 restarts 0 queued)",
            "    x (Named, permanent, 0 queued)",
            "    y (Named, permanent, 0 queued)",
        ]
    assert order == ["by", "bx", "b", "ay", "ax", "a"]


async def test_leaving_the_system_waits_a_bounded_time_then_cancels() -> None:
    done: list[Any] = []
    async with ActorSystem(stop_timeout_s=3.0) as system:
        for _ in range(3):
            ref = system.spawn(lambda: Worker(done))
            ref.tell(Work(1, seconds=1000.0))
        await asyncio.sleep(0.1)
    assert done == ["cancelled"] * 3 + ["stopped"] * 3
    assert now() == pytest.approx(3.1)


async def test_a_stopped_that_hangs_and_a_task_that_ignores_its_cancellation_are_left_behind(logs: list[Any]) -> None:
    class Stubborn(Worker):
        def started(self) -> None:
            self.run(self.ignoring())

        async def ignoring(self) -> None:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                await asyncio.sleep(10)

        async def stopped(self, reason: BaseException | None) -> None:
            await asyncio.sleep(1000)

    async with ActorSystem(stop_timeout_s=3.0) as system:
        system.spawn(Stubborn)
        await asyncio.sleep(0.1)
    assert now() < 10
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["task_ignores_cancellation", "stopped_failed"]
    await asyncio.sleep(10)


async def test_an_error_in_the_block_stops_the_actors_too() -> None:
    done: list[Any] = []

    async def block() -> None:
        async with ActorSystem() as system:
            system.spawn(lambda: Worker(done))
            raise ValueError("in the block")

    with pytest.raises(ValueError, match="in the block"):
        await block()
    assert done == ["stopped"]


async def test_nothing_is_spawned_by_an_actor_that_ends() -> None:
    class Late(Worker):
        def stopped(self, reason: BaseException | None) -> None:
            for attempt in (lambda: self.spawn(Worker), lambda: self.run(asyncio.sleep(1)), lambda: self.after(1, Fail())):
                with pytest.raises(ActorStopped, match="it is ending"):
                    attempt()
            self.done.append("checked")

    done: list[Any] = []
    async with ActorSystem() as system:
        system.spawn(lambda: Late(done))
    assert done == ["checked"]


async def test_an_actor_killed_while_it_starts_is_never_stopped_for_it_never_ran() -> None:
    class Slow(Worker):
        async def started(self) -> None:
            await asyncio.sleep(10)

    done: list[Any] = []
    async with ActorSystem() as system:
        begun, not_begun = system.spawn(lambda: Slow(done)), None
        await asyncio.sleep(1)
        not_begun = system.spawn(lambda: Slow(done))
        for ref in (begun, not_begun):
            ref.kill()
            await ref.join()
        assert (done, now()) == ([], pytest.approx(1.0))


async def test_a_handler_that_was_not_begun_when_its_actor_is_killed_leaves_no_warning() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Worker)
        refs = [system.spawn(Worker) for _ in range(3)]
        for worker in refs:
            worker.tell(Work(1))
        await ref.ask(Work(1))
        for worker in refs:
            worker.tell(Work(1))

        def kill_all() -> None:
            for worker in refs:
                worker.kill()

        asyncio.get_running_loop().call_soon(kill_all)
        await asyncio.sleep(1)
        assert not any(worker.alive for worker in refs)


# --------------------------------------------------------------------------------------------------------------- death watch


@pytest.fixture
def watching() -> Callable[[ActorSystem, ActorRef[Any]], Probe[Any]]:
    def make(system: ActorSystem, ref: ActorRef[Any]) -> Probe[Any]:
        probe: Probe[Any] = Probe(system)
        probe.watch(ref)
        return probe

    return make


async def test_a_watcher_is_told_once_when_an_actor_has_stopped(watching: Any) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Worker)
        probe = watching(system, ref)
        probe.watch(ref)
        await asyncio.sleep(1)
        ref.stop()
        assert await probe.expect(Terminated) == Terminated(ref, None)
        await probe.expect_nothing()


async def test_a_watcher_of_an_actor_that_is_gone_is_told_at_once_and_why(watching: Any) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Worker, restart=Restart.TEMPORARY)
        ref.tell(Fail())
        await asyncio.sleep(1)
        probe = watching(system, ref)
        terminated = await probe.expect(Terminated, timeout_s=0.001)
        assert (terminated.ref, repr(terminated.reason)) == (ref, "ValueError('as told')")


async def test_terminated_comes_after_all_that_the_actor_had_sent(watching: Any) -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Worker)
        probe = watching(system, ref)
        await asyncio.sleep(1)
        for number in range(200):
            ref.tell(Say(probe.ref, number))
        ref.stop(drain=True)
        await ref.join()
        await asyncio.sleep(1)
        assert probe.received == [*range(200), Terminated(ref, None)]


async def test_a_watcher_is_not_told_of_restarts(watching: Any) -> None:
    async with ActorSystem(supervision=Supervision(backoff=Backoff(initial_s=0.0))) as system:
        ref = system.spawn(Worker)
        probe = watching(system, ref)
        ref.tell(Fail())
        await probe.expect_nothing()
        assert ref.statistics().restarts == 1


@dataclass(frozen=True, slots=True)
class Watch:
    ref: ActorRef[Any]


@dataclass(frozen=True, slots=True)
class Unwatch(Request[None]):
    ref: ActorRef[Any]


class Watcher(Actor[Watch | Unwatch | Work | Fail | Terminated]):
    def __init__(self, told: list[Terminated]) -> None:
        self.told = told

    @handle
    def begin(self, message: Watch) -> None:
        self.watch(message.ref)

    @handle
    def end(self, message: Unwatch) -> None:
        self.unwatch(message.ref)

    @handle
    async def work(self, message: Work) -> int:
        await asyncio.sleep(message.seconds)
        self.unwatch_all(message.number)
        return message.number

    def unwatch_all(self, number: int) -> None: ...

    @handle
    def fail(self, message: Fail) -> None:
        raise ValueError("as told")

    @handle
    def terminated(self, message: Terminated) -> None:
        self.told.append(message)


async def test_nothing_comes_after_unwatch_not_even_what_is_queued() -> None:
    told: list[Terminated] = []
    async with ActorSystem() as system:
        target, other = system.spawn(Worker), system.spawn(Worker)

        class Changing(Watcher):
            def unwatch_all(self, number: int) -> None:
                self.unwatch(target)

        watcher = system.spawn(lambda: Changing(told))
        for ref in (target, other):
            watcher.tell(Watch(ref))
        answer = watcher.ask(Work(1))
        await asyncio.sleep(0.5)
        target.stop()
        other.stop()
        await answer
        await watcher.ask(Unwatch(target))
        await asyncio.sleep(1)
        assert told == [Terminated(other, None)]


async def test_watches_end_with_the_instance() -> None:
    told: list[Terminated] = []
    async with ActorSystem() as system:
        target, watcher = system.spawn(Worker), system.spawn(lambda: Watcher(told))
        watcher.tell(Watch(target))
        watcher.tell(Fail())
        await asyncio.sleep(1)
        target.stop()
        await asyncio.sleep(1)
        assert (told, watcher.statistics().restarts) == ([], 1)


async def test_a_callback_that_fails_harms_nobody(logs: list[Any]) -> None:
    def bad(*_: Any) -> None:
        raise ValueError("in the callback")

    async with ActorSystem(supervision=Supervision(backoff=Backoff(initial_s=0.0))) as system:
        system.on_dead_letter = system.on_failure = bad
        ref = system.spawn(Worker)
        ref.tell(Fail())
        assert await ref.ask(Work(1)) == 1
        ref.stop()
        await ref.join()
        ref.tell(Fail())
    assert [entry["event"] for entry in logs if "callback" in entry["event"]] == ["callback_failed"] * 2


async def test_leaving_a_system_may_be_cancelled_and_then_its_handlers_are() -> None:
    done: list[Any] = []

    async def leaving() -> None:
        async with ActorSystem(stop_timeout_s=100.0) as system:
            system.spawn(lambda: Worker(done)).tell(Work(1, seconds=50.0))
            await asyncio.sleep(1)

    task = asyncio.create_task(leaving())
    await asyncio.sleep(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(1)
    assert (done, now()) == (["cancelled", "stopped"], 3.0)
