"""Sessions: opening, signs of life, order, and every way to end."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop

from fedactors.errors import EndOfStream, LocalProtocolError, RemoteProtocolError, StreamClosed, Unreachable
from fedactors.protocol import (
    SESSION,
    Cancel,
    Evaluated,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    Hello,
    JoinRefused,
    SessionLost,
    Task,
    Welcome,
    join,
    read_hello,
    refuse,
    welcome,
)
from fedactors.protocol.session import WINDOW_MESSAGES
from fedactors.protocol.session_wire import encode
from fedactors.task import EvaluationReport, TaskKind
from fedactors.testing.conformance_transport import ending
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.memory import MemoryTransport

PLACES = {
    "memory": (MemoryTransport(), Address.parse("memory://session")),
    "grpc": (GrpcTransport(), Address.parse("grpc://127.0.0.1:0")),
}
QUIET = Welcome(b"token", heartbeat_s=30.0, lost_after_s=60.0, chunk_bytes=1024)
LIVELY = Welcome(b"token", heartbeat_s=0.05, lost_after_s=0.25, chunk_bytes=1024)
EVALUATED = Evaluated("t", EvaluationReport(3, {"accuracy": 0.5}))
TASK = Task("t", TaskKind.INITIALISE)


@pytest.fixture(params=PLACES)
def place(request):
    return PLACES[request.param]


@pytest.fixture
def memory():
    return PLACES["memory"]


@asynccontextmanager
async def served(place, accept):
    transport, address = place
    listener = await transport.listen(address, accept)
    channel = transport.connect(listener.address)
    try:
        yield channel
    finally:
        await channel.close()
        await listener.close(0.1)


@asynccontextmanager
async def sessions(place, terms=QUIET):
    """Both sides of a session."""
    accepted = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def accept(stream):
        await read_hello(stream, timeout_s=2)
        async with await welcome(stream, terms) as session:
            accepted.set_result(session)
            await done.wait()

    async with served(place, accept) as channel:
        learner, _ = await join(channel, Hello("anna"), timeout_s=5)
        try:
            yield learner, await accepted
        finally:
            done.set()
            learner.cut("the test is over")
            await learner.close()


async def test_a_learner_joins_and_both_sides_talk(place):
    hello = Hello("anna", "f", b"resume", 10, 2, ("gpu",), ("t7",), "fedactors/0")
    seen = []

    async def accept(stream):
        seen.append(await read_hello(stream, timeout_s=2))
        async with await welcome(stream, QUIET) as session:
            await session.send(TASK)
            seen.append(await session.receive())
            seen.append(await session.receive())

    async with served(place, accept) as channel:
        session, terms = await join(channel, hello, timeout_s=5)
        async with session:
            assert terms == QUIET
            assert await session.receive() == TASK
            await session.send(EVALUATED)
            await session.goodbye(GoodbyeReason.LEFT, "enough")
    assert seen == [hello, EVALUATED, Goodbye(GoodbyeReason.LEFT, "enough")]


async def test_a_refused_learner_is_told_why(place):
    async def accept(stream):
        await read_hello(stream, timeout_s=2)
        await refuse(stream, Goodbye(GoodbyeReason.REFUSED, "the federation is full"))

    async with served(place, accept) as channel:
        with pytest.raises(JoinRefused, match="the federation is full") as caught:
            await join(channel, Hello("anna"), timeout_s=5)
    assert caught.value.goodbye == Goodbye(GoodbyeReason.REFUSED, "the federation is full")


async def test_a_controller_that_says_nothing_is_unreachable(place):
    async def accept(stream):
        await read_hello(stream, timeout_s=2)
        with pytest.raises(StreamClosed):
            await stream.receive()

    async with served(place, accept) as channel:
        with pytest.raises(Unreachable, match=r"no welcome within 0\.3 s"):
            await join(channel, Hello("anna"), timeout_s=0.3)


async def test_a_controller_that_is_cut_off_while_a_learner_joins_is_not_a_riddle(place):
    async def accept(stream):
        await stream.receive()
        stream.cut("a storm")

    async with served(place, accept) as channel:
        with pytest.raises(StreamClosed, match="a storm"):
            await join(channel, Hello("anna"), timeout_s=5)


@pytest.mark.parametrize(
    ("frame", "complaint"), [(encode(TASK), "from the controller|not a LearnerMessage|without content"), (b"\xff", "not a")]
)
async def test_a_first_message_that_is_no_hello_is_refused(memory, frame, complaint):
    seen = []

    async def accept(stream):
        with pytest.raises(RemoteProtocolError) as caught:
            await read_hello(stream, timeout_s=2)
        seen.append(str(caught.value))

    async with served(memory, accept) as channel:
        stream = await channel.open(SESSION, timeout_s=1)
        await stream.send(frame)
        await asyncio.sleep(0.01)
    assert seen


async def test_a_learner_that_never_says_hello_is_given_up(memory):
    async def accept(stream):
        with pytest.raises(RemoteProtocolError, match=r"no hello from .* within 0\.05 s"):
            await read_hello(stream, timeout_s=0.05)

    async with served(memory, accept) as channel:
        stream = await channel.open(SESSION, timeout_s=1)
        with pytest.raises(EndOfStream):
            await stream.receive()


async def test_a_welcome_that_is_none_is_refused(memory):
    async def accept(stream):
        await stream.receive()
        await stream.send(encode(TASK))

    async with served(memory, accept) as channel:
        with pytest.raises(RemoteProtocolError, match="Task from the controller in a session that is greeted"):
            await join(channel, Hello("anna"), timeout_s=1)


async def test_messages_of_many_senders_arrive_once_and_in_their_senders_order(place):
    async with sessions(place) as (learner, controller):

        async def say(sender):
            for number in range(40):
                await controller.send(Cancel(f"{sender} {number}"))

        async with asyncio.TaskGroup() as group:
            for sender in "abc":
                group.create_task(say(sender))
            heard = [(await learner.receive()).task.split() for _ in range(120)]
    for sender in "abc":
        assert [number for who, number in heard if who == sender] == [str(number) for number in range(40)]


async def test_send_waits_while_too_many_messages_wait(memory):
    async with sessions(memory) as (learner, controller):
        said = 0

        async def say() -> None:
            nonlocal said
            while True:
                await controller.send(Cancel(str(said)))
                said += 1

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(say(), 0.1)
        assert WINDOW_MESSAGES <= said <= WINDOW_MESSAGES + 2 * MemoryTransport().frames_max
        assert [(await learner.receive()).task for _ in range(said)] == [str(number) for number in range(said)]


async def test_a_send_that_is_cancelled_sent_nothing_and_breaks_nothing(place):
    async with sessions(place) as (learner, controller):
        sending = asyncio.ensure_future(controller.send(TASK))
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await controller.send(Cancel("t"))
        assert await learner.receive() == Cancel("t")


async def test_a_receive_that_is_cancelled_loses_no_message(place):
    async with sessions(place) as (learner, controller):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await learner.receive()
        await controller.send(TASK)
        assert await learner.receive() == TASK


async def test_a_quiet_session_is_kept_alive_by_heartbeats(place):
    async with sessions(place, LIVELY) as (learner, controller):
        hearing = [asyncio.ensure_future(side.receive()) for side in (learner, controller)]
        await asyncio.sleep(3 * LIVELY.lost_after_s)
        assert not any(task.done() for task in hearing)
        assert learner.bytes_received >= 5 * len(encode(Heartbeat()))
        assert controller.last_heard_s > asyncio.get_running_loop().time() - LIVELY.lost_after_s
        await controller.send(TASK)
        assert await hearing[0] == TASK
        hearing[1].cancel()


async def test_a_busy_session_sends_no_heartbeats(memory):
    async with sessions(memory, LIVELY) as (learner, controller):
        frames_bytes = 0
        for _ in range(20):
            await controller.send(Cancel("t"))
            frames_bytes += len(encode(Cancel("t")))
            assert await learner.receive() == Cancel("t")
            await asyncio.sleep(LIVELY.heartbeat_s / 5)
        assert controller.bytes_sent == frames_bytes


async def test_a_frozen_peer_is_noticed_by_its_silence(place):
    async def accept(stream):
        await read_hello(stream, timeout_s=2)
        await stream.send(encode(LIVELY))
        await ending(stream)

    async with served(place, accept) as channel:
        session, _ = await join(channel, Hello("anna"), timeout_s=5)
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(SessionLost, match=r"nothing was heard of .* for 0\.25 s"):
            await session.receive()
        assert 0.2 <= asyncio.get_running_loop().time() - began_s <= 2.0
        with pytest.raises(SessionLost, match="nothing was heard"):
            await session.send(EVALUATED)
        await session.close()


async def test_silence_counts_only_while_somebody_listens(memory):
    async with sessions(memory, LIVELY) as (learner, controller):
        await controller.send(TASK)
        await asyncio.sleep(2 * LIVELY.lost_after_s)
        assert await learner.receive() == TASK


async def test_a_peer_that_never_reads_is_lost_and_whoever_sends_to_it_hears_of_it(memory):
    async with sessions(memory, LIVELY) as (_, controller):
        with pytest.raises(SessionLost, match="has read nothing for 1 s"):
            await sending_on(controller)


async def sending_on(session):
    while True:
        await session.send(TASK)


async def test_a_peer_that_floods_with_heartbeats_is_cut(memory):
    async with sessions(memory, QUIET) as (learner, controller):
        flood = asyncio.ensure_future(flooding(learner))
        with pytest.raises(RemoteProtocolError, match="109 heartbeats within 60 s; one is due every 30 s"):
            await controller.receive()
        await flood


async def flooding(session):
    with suppress(StreamClosed):
        while True:
            await session.stream.send(encode(Heartbeat()))


def test_uvloop_keeps_a_sessions_time_too(memory):
    """Its handle of a timer that is due at once is no timer's."""
    troubles = []

    async def beat():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        async with sessions(memory, Welcome(b"token", heartbeat_s=0.0004, lost_after_s=5.0, chunk_bytes=1024)) as (learner, _):
            await asyncio.sleep(0.02)
            assert learner.bytes_sent > 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(beat())
    assert troubles == []


async def test_a_process_that_was_held_up_itself_takes_nobody_for_lost(memory):
    async def accept(stream):
        await read_hello(stream, timeout_s=2)
        await stream.send(encode(LIVELY))
        await asyncio.sleep(2 * LIVELY.heartbeat_s)
        await stream.send(encode(TASK))
        await ending(stream)

    async with served(memory, accept) as channel:
        session, _ = await join(channel, Hello("anna"), timeout_s=5)
        hearing = asyncio.ensure_future(session.receive())
        await asyncio.sleep(0)
        time.sleep(2 * LIVELY.lost_after_s)  # noqa: ASYNC251  # as a process that was stopped, or a laptop that slept
        assert await hearing == TASK
        session.cut("seen")
        await session.close()


async def test_a_peer_that_ends_without_a_goodbye_is_lost(place):
    async def accept(stream):
        await read_hello(stream, timeout_s=2)
        await welcome(stream, QUIET)

    async with served(place, accept) as channel:
        session, _ = await join(channel, Hello("anna"), timeout_s=5)
        with pytest.raises(SessionLost, match="ended without a goodbye"):
            await session.receive()
        await session.close()


async def test_a_cut_is_a_loss_with_its_reason_on_both_sides(place):
    async with sessions(place) as (learner, controller):
        hearing = asyncio.ensure_future(controller.receive())
        await asyncio.sleep(0.01)
        controller.cut("displaced by another actor")
        with pytest.raises(SessionLost, match="displaced by another actor"):
            await hearing
        with pytest.raises(SessionLost, match="displaced by another actor"):
            await controller.send(TASK)
        with pytest.raises(SessionLost):
            await learner.receive()


async def test_a_goodbye_is_a_message_and_then_the_end(place):
    async with sessions(place) as (learner, controller):
        await controller.send(TASK)
        await controller.goodbye(GoodbyeReason.FINISHED, "done")
        assert await learner.receive() == TASK
        assert await learner.receive() == Goodbye(GoodbyeReason.FINISHED, "done")
        for _ in range(2):
            with pytest.raises(EndOfStream):
                await learner.receive()
        with pytest.raises(LocalProtocolError, match="allowed is nothing"):
            await controller.send(TASK)


async def test_goodbyes_that_cross_end_the_session_well(place):
    async with sessions(place) as (learner, controller):
        await asyncio.gather(learner.goodbye(GoodbyeReason.LEFT), controller.goodbye(GoodbyeReason.FINISHED))
        assert await learner.receive() == Goodbye(GoodbyeReason.FINISHED)
        assert await controller.receive() == Goodbye(GoodbyeReason.LEFT)
        for side in (learner, controller):
            with pytest.raises(EndOfStream):
                await side.receive()
            await side.close()


async def test_what_was_under_way_when_the_other_side_said_goodbye_still_arrives(memory):
    async with sessions(memory) as (learner, controller):
        await learner.send(EVALUATED)
        await controller.goodbye(GoodbyeReason.FINISHED)
        assert await controller.receive() == EVALUATED
        await learner.goodbye(GoodbyeReason.LEFT)
        assert await controller.receive() == Goodbye(GoodbyeReason.LEFT)


async def test_what_was_handed_over_before_the_end_is_written_before_it(place):
    async with sessions(place) as (learner, controller):
        await controller.goodbye(GoodbyeReason.FINISHED)
        assert await learner.receive() == Goodbye(GoodbyeReason.FINISHED, "")
        await learner.send(EVALUATED)
        await learner.close()
        assert await controller.receive() == EVALUATED
        with pytest.raises(SessionLost, match="the peer has said goodbye"):
            await learner.send(EVALUATED)


async def test_closing_after_a_goodbye_waits_until_it_was_heard(place):
    heard = []

    async def accept(stream):
        await read_hello(stream, timeout_s=2)
        async with await welcome(stream, QUIET) as session:
            await asyncio.sleep(0.2)
            heard.append(await session.receive())

    async with served(place, accept) as channel:
        session, _ = await join(channel, Hello("anna"), timeout_s=5)
        async with session:
            await session.goodbye(GoodbyeReason.LEFT)
        await channel.close()
        assert heard == [Goodbye(GoodbyeReason.LEFT)]


async def test_closing_while_another_task_still_receives_ends_that_task(place):
    async with sessions(place) as (learner, controller):
        hearing = asyncio.ensure_future(controller.receive())
        await asyncio.sleep(0.01)
        await controller.goodbye(GoodbyeReason.DISPLACED)
        closing = asyncio.ensure_future(controller.close())
        assert (await learner.receive()).reason is GoodbyeReason.DISPLACED
        await learner.goodbye(GoodbyeReason.LEFT)
        await closing
        assert await hearing == Goodbye(GoodbyeReason.LEFT)


async def test_a_block_that_fails_cuts_its_session(memory):
    async with sessions(memory) as (learner, controller):
        with pytest.raises(ZeroDivisionError):
            async with learner:
                raise ZeroDivisionError
        with pytest.raises(SessionLost):
            await controller.receive()


@pytest.mark.parametrize("frame", [b"\xff\xff", encode(Hello("a")), bytes(70_000)], ids=["garbage", "hello again", "too long"])
async def test_a_peer_that_breaks_the_protocol_is_cut(memory, frame):
    async def accept(stream):
        await read_hello(stream, timeout_s=2)
        session = await welcome(stream, QUIET)
        with pytest.raises(RemoteProtocolError):
            await session.receive()
        with pytest.raises(SessionLost):
            await session.send(TASK)
        await session.close()

    async with served(memory, accept) as channel:
        stream = await channel.open(SESSION, timeout_s=1)
        await stream.send(encode(Hello("a")))
        await stream.receive()
        await stream.send(frame)
        with pytest.raises(StreamClosed) as caught:
            await stream.receive()
        assert not isinstance(caught.value, EndOfStream)


async def test_a_session_that_is_quiet_holds_no_task(memory):
    async with sessions(memory) as _:
        await asyncio.sleep(0.01)
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("write to")]
