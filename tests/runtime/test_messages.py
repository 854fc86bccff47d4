"""Telling, sending, asking; which handler gets what; bounded mailboxes; dead letters."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from fedactors.errors import ActorError, ActorStopped, AskTimeout, MailboxFull, Rejected, Unhandled
from fedactors.runtime import Actor, ActorRef, ActorSystem, DeadLetter, Request, handle
from fedactors.testing import Probe


@dataclass(frozen=True, slots=True)
class Add:
    number: int


@dataclass(frozen=True, slots=True)
class AddTwice(Add): ...


@dataclass(frozen=True, slots=True)
class Total(Request[int]): ...


@dataclass(frozen=True, slots=True)
class SlowTotal(Request[int]):
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Divide(Request[float]):
    by: float


@dataclass(frozen=True, slots=True)
class Stranger(Request[None]): ...


class Adder(Actor[Add | Total | SlowTotal | Divide]):
    def __init__(self) -> None:
        self.numbers: list[int] = []

    @handle
    def add(self, message: Add) -> None:
        self.numbers.append(message.number)

    @handle
    def total(self, message: Total) -> int:
        return sum(self.numbers)

    @handle
    async def slow_total(self, message: SlowTotal) -> int:
        await asyncio.sleep(message.seconds)
        return sum(self.numbers)

    @handle
    def divide(self, message: Divide) -> float:
        if not message.by:
            raise Rejected("division by zero")
        return sum(self.numbers) / message.by


async def test_messages_of_one_sender_are_handled_in_the_order_in_which_they_were_told() -> None:
    seen: list[int] = []

    class Keeper(Adder):
        @handle
        def add(self, message: Add) -> None:
            seen.append(message.number)

    async with ActorSystem() as system:
        ref = system.spawn(Keeper)
        for number in range(1000):
            ref.tell(Add(number))
        await ref.ask(Total())
        assert seen == list(range(1000))


async def test_a_plain_handler_and_a_coroutine_handler_answer_alike() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder)
        ref.tell(Add(2))
        await ref.send(Add(3))
        assert await ref.ask(Total()) == 5
        assert await ref.ask(SlowTotal()) == 5


async def test_one_message_at_a_time_even_while_a_handler_waits() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder)
        slow = ref.ask(SlowTotal(5.0))
        await asyncio.sleep(1)
        ref.tell(Add(7))
        assert await slow == 0
        assert await ref.ask(Total()) == 7


async def test_a_subclass_of_a_message_goes_to_the_handler_of_its_base() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder)
        ref.tell(AddTwice(4))
        assert await ref.ask(Total()) == 4


async def test_an_override_without_the_decorator_is_the_handler() -> None:
    class Doubler(Adder):
        def add(self, message: Add) -> None:
            self.numbers.append(2 * message.number)

    async with ActorSystem() as system:
        ref = system.spawn(Doubler)
        ref.tell(Add(4))
        assert await ref.ask(Total()) == 8


async def test_one_handler_may_take_a_union() -> None:
    class Both(Actor[Total | SlowTotal]):
        @handle
        def either(self, message: Total | SlowTotal) -> int:
            return 1 if isinstance(message, Total) else 2

    async with ActorSystem() as system:
        ref = system.spawn(Both)
        assert [await ref.ask(Total()), await ref.ask(SlowTotal())] == [1, 2]


async def test_an_actor_that_declares_a_message_without_handling_it_is_refused() -> None:
    class Lazy(Actor[Total | Divide]):
        @handle
        def total(self, message: Total) -> int:
            return 0

    async with ActorSystem() as system:
        with pytest.raises(AssertionError, match="Lazy says that it takes Divide"):
            system.spawn(Lazy)


async def test_a_message_type_that_cannot_be_read_is_named() -> None:
    class Local: ...

    class Odd(Actor[Any]):
        @handle
        def local(self, message: Local) -> None: ...

    async with ActorSystem() as system:
        with pytest.raises(TypeError, match=r"Odd\.local: the message type cannot be read .*'Local'.*top of its module"):
            system.spawn(Odd)


async def test_a_message_without_a_handler_is_a_dead_letter_and_no_failure() -> None:
    letters: list[DeadLetter] = []
    async with ActorSystem() as system:
        system.on_dead_letter = letters.append
        ref: ActorRef[Any] = system.spawn(Adder)
        ref.tell("hello")
        with pytest.raises(Unhandled, match=r"/\$1 \(Adder\) has no handler for Stranger"):
            await ref.ask(Stranger())
        assert [(letter.message, letter.why) for letter in letters] == [("hello", "unhandled")]
        assert system.dead_letters == 1
        assert ref.statistics().restarts == 0


async def test_a_rejected_request_is_no_failure() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder)
        ref.tell(Add(6))
        with pytest.raises(Rejected, match="division by zero"):
            await ref.ask(Divide(0))
        assert await ref.ask(Divide(2)) == 3
        assert ref.statistics().restarts == 0


async def test_a_rejected_message_that_was_told_changes_nothing() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder)
        ref.tell(Divide(0))
        ref.tell(Add(1))
        assert await ref.ask(Total()) == 1


async def test_an_ask_times_out_with_the_name_of_what_was_asked() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder, name="adder")
        with pytest.raises(AskTimeout, match=r"/adder did not answer SlowTotal within 0\.5 s"):
            await ref.ask(SlowTotal(), timeout_s=0.5)
        with pytest.raises(TimeoutError):
            await ref.ask(SlowTotal(), 0.25)


async def test_an_ask_whose_asker_is_gone_is_skipped_unless_it_has_begun() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder)
        begun, waiting = ref.ask(SlowTotal(3.0)), ref.ask(SlowTotal(10.0))
        await asyncio.sleep(1)
        begun.cancel()
        waiting.cancel()
        await ref.ask(Total())
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)


async def test_a_task_that_is_cancelled_while_it_asks_is_cancelled() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder)

        async def asking() -> None:
            await ref.ask(SlowTotal(100.0))

        task = asyncio.create_task(asking())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_many_asks_are_gathered_without_a_task_each() -> None:
    async with ActorSystem() as system:
        refs = [system.spawn(Adder) for _ in range(100)]
        for number, ref in enumerate(refs):
            ref.tell(Add(number))
        tasks = len(asyncio.all_tasks())
        answers = asyncio.gather(*(ref.ask(Total()) for ref in refs))
        assert len(asyncio.all_tasks()) == tasks
        assert await answers == list(range(100))


async def test_asking_an_actor_that_is_gone_fails_at_once() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder, name="adder")
        ref.stop()
        await ref.join()
        with pytest.raises(ActorStopped, match="/adder has stopped before it answered Total"):
            await ref.ask(Total())


async def test_names_are_unique_among_siblings_and_stand_in_the_path() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder, name="adder")
        assert (ref.name, ref.path, repr(ref)) == ("adder", "/adder", "<ActorRef /adder>")
        with pytest.raises(ActorError, match="has a child named 'adder' already"):
            system.spawn(Adder, name="adder")
        ref.stop()
        await ref.join()
        assert not ref.alive
        assert system.spawn(Adder, name="adder").alive


# ------------------------------------------------------------------------------------------------------------------- bounded


async def test_tell_to_a_full_mailbox_is_an_error_that_names_the_remedy() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder, name="adder", capacity=2)
        ref.tell(Add(1))
        ref.tell(Add(1))
        with pytest.raises(MailboxFull, match=r"/adder has 2 of 2 messages queued; use send\(\)"):
            ref.tell(Add(1))


async def test_send_waits_for_room_and_keeps_the_order() -> None:
    seen: list[int] = []

    class Slow(Actor[Add]):
        @handle
        async def add(self, message: Add) -> None:
            await asyncio.sleep(1)
            seen.append(message.number)
            assert self.ref.statistics().depth <= 3

    async with ActorSystem() as system:
        ref = system.spawn(Slow, capacity=3)
        for number in range(20):
            await ref.send(Add(number))
        ref.stop(drain=True)
        await ref.join()
        assert seen == list(range(20))


async def test_a_sender_that_gives_up_has_sent_nothing() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder, capacity=1)
        begun = ref.ask(SlowTotal(5.0))
        await asyncio.sleep(1)
        ref.tell(Add(1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await ref.send(Add(10))
        await begun
        assert await ref.ask(Total()) == 1


async def test_ask_waits_for_room_in_a_full_mailbox() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Adder, capacity=1)
        begun = ref.ask(SlowTotal(5.0))
        await asyncio.sleep(1)
        ref.tell(Add(1))
        answer, late = ref.ask(Total()), ref.ask(Total(), timeout_s=1.0)
        with pytest.raises(AskTimeout):
            await late
        assert (await begun, await answer) == (0, 1)


async def test_signals_and_timers_pass_a_full_mailbox() -> None:
    class Timed(Adder):
        def started(self) -> None:
            self.after(1.0, Add(5))

    async with ActorSystem() as system:
        ref = system.spawn(Timed, capacity=1)
        begun = ref.ask(SlowTotal(5.0))
        answer = ref.ask(Total())
        await asyncio.sleep(2)
        assert ref.statistics().depth == 2
        ref.stop()
        assert await begun == 0
        await ref.join()
        with pytest.raises(ActorStopped):
            await answer


async def test_senders_that_wait_when_the_actor_stops_are_let_go() -> None:
    async with ActorSystem() as system:
        probe: Probe[Any] = Probe(system)
        ref = system.spawn(Adder, capacity=1)
        ref.ask(SlowTotal(5.0))
        await asyncio.sleep(1)
        ref.tell(Add(1))
        sending, asking = asyncio.create_task(ref.send(Add(2))), ref.ask(Total())
        await asyncio.sleep(1)
        ref.kill()
        await sending
        with pytest.raises(ActorStopped):
            await asking
        await ref.send(Add(3))
        assert system.dead_letters == 3
        assert probe.received == []
