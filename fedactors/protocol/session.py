"""One side of a session: messages both ways, signs of life, and an end that is either a goodbye or a loss.

    learner                                          controller
    session, terms = await join(channel, hello)      hello = await read_hello(stream)
                                                     session = await welcome(stream, terms)      or await refuse(stream, goodbye)
    async with session:                              async with session:
        await session.receive()                          await session.send(Task(...))
        await session.goodbye(reason)                    await session.receive()

A session that is quiet holds no task, only a timer: it sends a heartbeat when nothing else was sent for a while, and cuts the
stream when nothing was heard for too long while somebody was listening.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from fedactors.errors import EndOfStream, RemoteProtocolError, StreamClosed, TransportError, Unreachable
from fedactors.protocol.messages import (
    SESSION,
    FromController,
    FromLearner,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    Hello,
    Message,
    Welcome,
)
from fedactors.protocol.session_wire import CONTROL_BYTES_MAX, decode_from_controller, decode_from_learner, encode
from fedactors.protocol.states import Role, State, after_receiving, after_sending, has_said_goodbye
from fedactors.transport import Channel, Frame, Stream

WINDOW_MESSAGES = 16
"""Messages that wait to be written before `send` waits too."""
LINGER_S = 2.0
"""How long a side that has said goodbye waits for the peer to have heard it."""

UNREAD_TIMES = 4
"""So many times `lost_after_s` a peer may read nothing of what was written for it: it may pause, and be too busy to listen."""
HEARTBEATS_MORE = 100
"""Heartbeats within `lost_after_s` beyond four times those that are due; with more, a peer floods."""

TIMER_TOLERANCE_S = 1e-3
"""A timer that fires this much early has fired in time: clocks are coarse."""

_HEARTBEAT = Heartbeat()
_HEARTBEAT_FRAME = encode(_HEARTBEAT)
_DECODE: dict[Role, Callable[[Frame], FromLearner | FromController]] = {
    Role.LEARNER: decode_from_learner,
    Role.CONTROLLER: decode_from_controller,
}


class SessionLost(StreamClosed):
    """The session ended without a goodbye: the peer is gone, or has been silent for too long."""


class JoinRefused(StreamClosed):
    """The controller said goodbye instead of welcome.

    Attributes:
        goodbye: what it said.
    """

    def __init__(self, goodbye: Goodbye) -> None:
        super().__init__(f"the controller refused ({goodbye.reason}): {goodbye.why or 'it gave no reason'}")
        self.goodbye = goodbye


async def join(channel: Channel, hello: Hello, *, timeout_s: float) -> tuple[Session, Welcome]:
    """Open a session as a learner.

    Cancelling it leaves nothing behind.

    Raises:
        JoinRefused: the controller said goodbye instead.
        RemoteProtocolError: it said something else.
        Unreachable: nobody answered within `timeout_s`.
        StreamClosed: the connection was lost meanwhile.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    stream = await channel.open(SESSION, timeout_s=timeout_s)
    try:
        async with asyncio.timeout_at(deadline):
            await stream.send(encode(hello))
            answer = _read(await stream.receive(), Role.CONTROLLER)
        state = after_receiving(after_sending(State.OPENED, Role.LEARNER, hello), Role.CONTROLLER, answer)
        if isinstance(answer, Goodbye):
            raise JoinRefused(answer)
        assert isinstance(answer, Welcome)
        return Session(stream, Role.LEARNER, state, answer), answer
    except BaseException as error:
        stream.cut("the session was not opened")
        if isinstance(error, TimeoutError):
            channel.leave(stream)
            raise Unreachable(f"{stream.peer} gave no welcome within {timeout_s:g} s") from None
        raise


async def read_hello(stream: Stream, *, timeout_s: float) -> Hello:
    """The first message of a learner.

    Raises:
        RemoteProtocolError: it is something else, or did not come within `timeout_s`.
        StreamClosed: the learner is gone.
    """
    try:
        async with asyncio.timeout(timeout_s):
            message = _read(await stream.receive(), Role.LEARNER)
    except TimeoutError:
        raise RemoteProtocolError(f"no hello from {stream.peer} within {timeout_s:g} s") from None
    after_receiving(State.OPENED, Role.LEARNER, message)
    assert isinstance(message, Hello)
    return message


async def welcome(stream: Stream, terms: Welcome) -> Session:
    """Let the learner in whose hello was read from this stream."""
    state = after_sending(State.GREETED, Role.CONTROLLER, terms)
    await stream.send(encode(terms))
    return Session(stream, Role.CONTROLLER, state, terms)


async def refuse(stream: Stream, goodbye: Goodbye) -> None:
    """Turn the learner away whose hello was read from this stream."""
    after_sending(State.GREETED, Role.CONTROLLER, goodbye)
    await stream.send(encode(goodbye))
    await stream.finish()


def _read(frame: Frame, role: Role) -> FromLearner | FromController:
    if len(frame) > CONTROL_BYTES_MAX:
        raise RemoteProtocolError(f"a control message of {len(frame):,} bytes; at most {CONTROL_BYTES_MAX:,} are taken")
    return _DECODE[role](frame)


class Session:
    """One side of an open session. Any number of tasks may send; one receives.

    As a context manager it is closed at the end of the block, and cut where the block ends by an exception.

    Attributes:
        stream: what carries it.
        peer: where the other side is, for people to read.
        bytes_sent: of messages.
        bytes_received: of messages.
        last_heard_s: when the last message came, heartbeats too; the event loop's time.
    """

    def __init__(self, stream: Stream, role: Role, state: State, terms: Welcome) -> None:
        self.stream = stream
        self._role = role
        self._state = state
        self._heartbeat_s = terms.heartbeat_s
        self._lost_after_s = terms.lost_after_s
        self._loop = asyncio.get_running_loop()
        self._outbox: list[bytes] = []
        self._writer: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._loss: str | None = None
        self._ended = False
        self._receiving = False
        self.peer = stream.peer
        self.bytes_sent = 0
        self.bytes_received = 0
        self._heartbeats_max = HEARTBEATS_MORE + int(4 * terms.lost_after_s / terms.heartbeat_s)
        self._heartbeats = 0
        self.last_heard_s = self._last_sent_s = self._listening_since_s = self._loop.time()
        self._counting_since_s = self._written_s = self.last_heard_s
        self._due_s = self._last_sent_s + self._heartbeat_s
        self._timer = self._loop.call_at(self._due_s, self._tick)

    # ------------------------------------------------------------------------------------------------------------------ sending

    async def send(self, message: Message) -> None:
        """Hand over one message; waits while WINDOW_MESSAGES are waiting to be written. Cancelled, it has sent nothing.

        Raises:
            SessionLost: the session is over.
            LocalProtocolError: the message may not be sent now, or cannot be written.
        """
        frame = encode(message)
        while len(self._outbox) >= WINDOW_MESSAGES and self._loss is None:
            await self._progress()
        self._enqueue(message, frame)

    async def goodbye(self, reason: GoodbyeReason, why: str = "") -> None:
        """Send the last message, and wait until everything is written. `receive` goes on until the peer has ended, too.

        Raises:
            SessionLost: the session is over.
            LocalProtocolError: it was said before.
        """
        await self.send(Goodbye(reason, why))
        while self._outbox and self._loss is None:
            await self._progress()
        if self._loss is not None:
            raise SessionLost(self._loss)
        await self.stream.finish()

    def _enqueue(self, message: Message, frame: bytes) -> None:
        if self._loss is not None:
            raise SessionLost(self._loss)
        self._state = after_sending(self._state, self._role, message)
        if not self._outbox:
            self._written_s = self._loop.time()
        self._outbox.append(frame)
        if self._writer is None:
            self._writer = self._loop.create_task(self._write_all(), name=f"write to {self.peer}")

    async def _write_all(self) -> None:
        """The one writer; it lives as long as there is something to write."""
        try:
            while self._outbox:
                await self.stream.send(self._outbox[0])
                self.bytes_sent += len(self._outbox.pop(0))
                self._last_sent_s = self._written_s = self._loop.time()
                self._wake()
        except TransportError as error:
            self.cut(str(error))
        finally:
            self._writer = None

    # ---------------------------------------------------------------------------------------------------------------- receiving

    async def receive(self) -> FromLearner | FromController:
        """The peer's next message; heartbeats are swallowed. Cancelling it loses no message.

        Raises:
            EndOfStream: the peer has said goodbye before (its Goodbye was returned), or has ended after ours.
            SessionLost: the stream was cut, the peer ended without a goodbye, or was silent for longer than lost_after_s.
            RemoteProtocolError: the peer broke the protocol; the session is cut.
        """
        peer = self._role.other
        while not has_said_goodbye(self._state, peer):
            frame = await self._next_frame()
            try:
                message = _read(frame, peer)
                self._state = after_receiving(self._state, peer, message)
                if message == _HEARTBEAT:
                    self._count_heartbeat()
            except RemoteProtocolError as error:
                self.cut(str(error))
                raise
            if message != _HEARTBEAT:
                return message
        self._ended = True
        raise EndOfStream("the peer has said goodbye")

    def _count_heartbeat(self) -> None:
        if self.last_heard_s - self._counting_since_s > self._lost_after_s:
            self._counting_since_s, self._heartbeats = self.last_heard_s, 0
        self._heartbeats += 1
        if self._heartbeats > self._heartbeats_max:
            times = f"{self._heartbeats:,} heartbeats within {self._lost_after_s:g} s"
            raise RemoteProtocolError(f"{times}; one is due every {self._heartbeat_s:g} s")

    async def _next_frame(self) -> Frame:
        self._receiving, self._listening_since_s = True, self._loop.time()
        try:
            frame = await self.stream.receive()
        except StreamClosed as error:
            self._ended = True
            if isinstance(error, EndOfStream) and has_said_goodbye(self._state, self._role):
                raise
            self.cut("the peer ended without a goodbye" if isinstance(error, EndOfStream) else str(error))
            raise SessionLost(self._loss) from error
        finally:
            self._receiving = False
            self._wake()
        self.last_heard_s = self._loop.time()
        self.bytes_received += len(frame)
        return frame

    # --------------------------------------------------------------------------------------------------------------------- time

    def _tick(self) -> None:
        """Send a heartbeat if one is due, cut the session if the peer is silent; set the timer for what comes first."""
        now = self._loop.time()
        if now - self._due_s > self._heartbeat_s:  # this process was held up: it could not have heard anybody
            self._listening_since_s = self._written_s = now
        unread_s = UNREAD_TIMES * self._lost_after_s
        if self._outbox and now - self._written_s > unread_s:  # else who sends to it waits for as long as it likes
            self.cut(f"{self.peer} has read nothing for {unread_s:g} s")
            return
        lost_s = max(self.last_heard_s, self._listening_since_s) + self._lost_after_s
        if self._receiving and now >= lost_s - TIMER_TOLERANCE_S:
            self.cut(f"nothing was heard of {self.peer} for {self._lost_after_s:g} s")
            return
        beat_s = self._last_sent_s + self._heartbeat_s
        if now >= beat_s - TIMER_TOLERANCE_S:
            beat_s = now + self._heartbeat_s
            if not self._outbox and not has_said_goodbye(self._state, self._role):
                self._enqueue(_HEARTBEAT, _HEARTBEAT_FRAME)
        self._due_s = min(beat_s, lost_s) if self._receiving else beat_s
        self._timer = self._loop.call_at(self._due_s, self._tick)  # uvloop's handle does not always know when it is due

    # ---------------------------------------------------------------------------------------------------------------------- end

    def cut(self, why: str) -> None:
        """End at once, both ways. Idempotent; the first reason stays."""
        if self._loss is None:
            self._loss = why
            self._timer.cancel()
            self.stream.cut(why)
            self._wake()

    async def close(self) -> None:
        """End the session; after a goodbye of ours, when the peer has heard it or LINGER_S have passed. Idempotent."""
        if not has_said_goodbye(self._state, self._role) and not has_said_goodbye(self._state, self._role.other):
            self.cut("the session was closed without a goodbye")
        elif has_said_goodbye(self._state, self._role):
            await self._linger()
        else:
            await self._finish()
        self._timer.cancel()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])

    async def _finish(self) -> None:
        """After the peer's goodbye: what was handed over is still written, nothing more is taken."""
        self._timer.cancel()
        try:
            async with asyncio.timeout(LINGER_S):
                while self._outbox and self._loss is None:
                    await self._progress()
        except TimeoutError:
            self.cut("the peer takes nothing more")
        if self._loss is None:
            self._loss = "the peer has said goodbye"
            await self.stream.finish()

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_S):
                while self._receiving:
                    await self._progress()
                while not self._ended and self._loss is None:
                    await self.receive()
        except TimeoutError:
            self.cut("the peer did not end the session")
        except (StreamClosed, RemoteProtocolError):
            return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.cut("the session was given up")
        await self.close()

    # ------------------------------------------------------------------------------------------------------------------ waiting

    async def _progress(self) -> None:
        """Until something was written, heard or lost."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
