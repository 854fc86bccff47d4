"""The actor that listens: it admits learners, gives each its proxy, and leads every stream to the actor that serves it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeVar

from typing_extensions import override

from fedactors.access.callers import Caller
from fedactors.access.guard import RECHECK_S, Guard
from fedactors.actors.admin_desk import AdminDesk
from fedactors.actors.compute import Compute
from fedactors.actors.doorway import JOINS_MAX, JOINS_WITHIN_S, Doorway
from fedactors.actors.learner_proxy import LearnerProxy, Neighbours, UploadPolicy
from fedactors.actors.line import GOODBYE_S
from fedactors.actors.messages import (
    Admission,
    Admit,
    Attach,
    Dismiss,
    DismissAll,
    Displace,
    FindProxy,
    LearnerDeparted,
    Listening,
    NotListening,
    ServeFetch,
    TakePush,
    ToGateway,
    ToLearnerProxy,
)
from fedactors.actors.session_terms import SessionTerms
from fedactors.actors.waiting_room import WaitingRoom
from fedactors.errors import (
    AccessDenied,
    ActorError,
    ActorStopped,
    AddressError,
    ProtocolError,
    Rejected,
    RemoteProtocolError,
    StreamClosed,
    TransportError,
)
from fedactors.journal import Journal, Known
from fedactors.log import get_logger
from fedactors.model import LearnerId
from fedactors.protocol import (
    FETCH,
    PUSH,
    SESSION,
    FetchRequest,
    Goodbye,
    GoodbyeReason,
    Hello,
    PushOpening,
    Session,
    read_fetch,
    read_hello,
    read_opening,
    refuse,
    welcome,
)
from fedactors.runtime import Actor, ActorRef, Request, Restart, Supervision, Terminated, handle
from fedactors.task import TaskId, TaskKey
from fedactors.transport import Address, Listener, Stream, Transport

log = get_logger("fedactors.gateway")

T = TypeVar("T", FetchRequest, PushOpening)

TOKEN_BYTES = 16
CLOSE_GRACE_S = 1.0
STRANGERS_MORE = 256
"""Streams that may wait for their first message, beside one for each of `learners_max`."""
DISMISSED_AT_ONCE = 256
"""Learners that are told goodbye at a time; thousands at once would not all hear it before GOODBYE_S are over."""


@dataclass(frozen=True, slots=True)
class Place:
    """An address to listen at, and the transport for it."""

    transport: Transport
    address: Address


@dataclass(slots=True)
class Admitted:
    """A learner that takes part."""

    learner: LearnerId
    proxy: ActorRef[ToLearnerProxy]
    token: bytes


class Gateway(Actor[ToGateway]):
    """Owns the listeners and the learners' tokens; parent of the learner proxies."""

    supervision: ClassVar[Supervision] = Supervision()

    def __init__(
        self,
        neighbours: Neighbours,
        places: Sequence[Place],
        terms: SessionTerms,
        policy: UploadPolicy,
        compute: Compute,
        journal: Journal,
        guard: Guard | None = None,
    ) -> None:
        self._journal = journal
        self._guard = Guard() if guard is None else guard
        self._watching: asyncio.Task[None] | None = None
        self._given_before = _by_learner(journal.story.given)
        self._places = places
        self._terms = terms
        self._to = neighbours
        self._new_proxy = partial(
            LearnerProxy, neighbours=neighbours, policy=policy, compute=compute, lost_after_s=terms.lost_after_s
        )
        self._doorway = Doorway(terms.learners_max + STRANGERS_MORE, terms.hello_timeout_s)
        self._room = WaitingRoom()
        self._desk = AdminDesk(neighbours, policy.model_bytes_max, self._guard.audit, self._doorway, self._room)
        self._listeners: list[Listener] = []
        self._learners: dict[LearnerId, Admitted] = {}
        self._tokens: dict[bytes, Admitted] = {}
        self._by_proxy: dict[ActorRef[Any], Admitted] = {}
        self._to_dismiss: deque[Admitted] = deque()
        self._dismissed = False

    @override
    async def started(self) -> None:
        try:
            for place in self._places:
                self._listeners.append(await place.transport.listen(place.address, self._accept, self._guard.admit))
        except AddressError as error:
            self._to.controller.tell(NotListening(error))
        else:
            self._to.controller.tell(Listening(tuple(listener.address for listener in self._listeners)))
            if self._guard.watches:
                self._watching = asyncio.create_task(self._end_revoked(), name="end what was revoked")

    @override
    async def stopped(self, reason: BaseException | None) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._room.close()
        grace_s = CLOSE_GRACE_S if reason is None else 0.0
        await asyncio.gather(*(listener.close(grace_s) for listener in self._listeners))

    # -------------------------------------------------------------------------------------------------------------- admission

    @handle
    def admit(self, message: Admit) -> Admission:
        """Let a learner in: as new, as one that comes back, or in place of another process with its identity."""
        hello = message.hello
        if (refusal := self._refusal(hello)) is not None:
            raise Rejected(refusal)
        known = self._learners.get(hello.learner)
        if known is not None and hello.resume_token and secrets.compare_digest(hello.resume_token, known.token):
            return Admission(known.proxy, known.token, resumed=True)
        if known is not None:
            self._forget(known)
            known.proxy.tell(Displace())
        if hello.resume_token and secrets.compare_digest(_digest(hello.resume_token), self._digest_of(hello.learner)):
            return self._take_in(hello, hello.resume_token, self._given_before.pop(hello.learner, frozenset()), resumed=True)
        token = secrets.token_bytes(TOKEN_BYTES)
        if self._journal.keeps:
            self._journal.write(Known(hello.learner, _digest(token)))
        return self._take_in(hello, token, frozenset(), resumed=False)

    def _digest_of(self, learner: LearnerId) -> bytes:
        """Of the token that the learner was given last, by this gateway or by one before it; empty where it never was."""
        return self._journal.story.digests.get(learner, b"")

    def _refusal(self, hello: Hello) -> str | None:
        if self._dismissed:
            return "the federation is done"
        if (problem := self._terms.problem(hello)) is not None:
            return problem
        if hello.learner not in self._learners and len(self._learners) >= self._terms.learners_max:
            return f"limits.learners_max = {self._terms.learners_max:,} learners are here already"
        return None

    def _take_in(self, hello: Hello, token: bytes, given_before: frozenset[TaskId], *, resumed: bool) -> Admission:
        if self._terms.form_for(hello) != self._terms.form:
            log.warning("form_not_known", learner=hello.learner, form=self._terms.form.name, software=hello.software)
        make = partial(self._new_proxy, hello, given_before=given_before)
        proxy = self.spawn(make, capacity=self._terms.mailbox_messages_max, restart=Restart.TEMPORARY)
        self.watch(proxy)
        admitted = Admitted(hello.learner, proxy, token)
        self._learners[hello.learner] = self._tokens[token] = self._by_proxy[proxy] = admitted
        return Admission(proxy, token, resumed=resumed)

    def _forget(self, admitted: Admitted) -> None:
        self._tokens.pop(admitted.token, None)
        self._by_proxy.pop(admitted.proxy, None)
        if self._learners.get(admitted.learner) is admitted:
            del self._learners[admitted.learner]

    @handle
    def find(self, message: FindProxy) -> ActorRef[ToLearnerProxy]:
        """Whose token it is."""
        admitted = self._tokens.get(message.token)
        if admitted is None or not message.caller.may_be(admitted.learner):
            raise Rejected("unknown token: the session is over; join again")
        return admitted.proxy

    @handle
    def proxy_ended(self, message: Terminated) -> None:
        """A proxy is gone: its learner left, or the proxy failed."""
        self._doorway.close(message.ref)
        admitted = self._by_proxy.get(message.ref)
        if admitted is not None:
            self._forget(admitted)
            if message.reason is not None:
                why = f"its proxy failed: {message.reason!r}"
                self._to.controller.tell(LearnerDeparted(admitted.learner, "lost", why, admitted.proxy))
        self._dismiss_next()

    @handle
    def dismiss_all(self, _: DismissAll) -> None:
        """The federation is done: say so to a number of learners at a time, so that each goodbye is written in time."""
        if not self._dismissed:
            self._dismissed = True
            self._to_dismiss.extend(self._learners.values())
            for _turn in range(DISMISSED_AT_ONCE):
                self._dismiss_next()

    def _dismiss_next(self) -> None:
        while self._to_dismiss:
            admitted = self._to_dismiss.popleft()
            if admitted.proxy in self._by_proxy:
                admitted.proxy.tell(Dismiss())
                return

    # ---------------------------------------------------------------------------------- streams: each in a coroutine of its own

    async def _accept(self, stream: Stream) -> None:
        caller = self._guard.caller(stream)
        serve = self._methods.get(stream.method, self._desk.methods.get(stream.method))
        if serve is None:
            raise RemoteProtocolError(f"no method {stream.method!r:.80} is served here")
        try:
            with self._guard.serving(stream, caller):
                await serve(stream, caller)
        except AccessDenied:
            raise
        except (TransportError, ProtocolError, ActorError) as error:
            log.info("stream_ended", method=stream.method, peer=stream.peer, why=str(error) or type(error).__name__)
            stream.cut(str(error))

    async def _end_revoked(self) -> None:
        """Look again and again whether a token was revoked that somebody is served by."""
        while True:
            await asyncio.sleep(RECHECK_S)
            self._guard.end_revoked()

    @property
    def _methods(self) -> Mapping[str, Callable[[Stream, Caller], Awaitable[None]]]:
        return {SESSION: self._serve_session, FETCH: self._serve_fetches, PUSH: self._serve_pushes}

    async def _serve_session(self, stream: Stream, caller: Caller) -> None:
        terms = self._terms
        hello = await self._doorway.first(stream, read_hello(stream, timeout_s=terms.hello_timeout_s))
        self._guard.check_learner(caller, hello.learner, stream)
        if self._doorway.joins_too_often(hello.learner, self.clock.now()):
            times = f"{JOINS_MAX} times within {JOINS_WITHIN_S:g} s"
            await refuse(stream, Goodbye(GoodbyeReason.DRAINING, f"{hello.learner} has joined {times}: come back later"))
            return
        try:
            admission = await self._room.answer(self.ref.ask(Admit(hello)))
        except Rejected as refusal:
            reason = GoodbyeReason.FINISHED if self._dismissed else GoodbyeReason.REFUSED
            self._guard.audit.refused(str(refusal), stream.peer, learner=hello.learner, who=str(caller), by=caller.by)
            await refuse(stream, Goodbye(reason, str(refusal)))
            return
        self._guard.audit.did("joined", caller, stream.peer, learner=hello.learner, resumed=admission.resumed)
        greeting = terms.welcome(hello, admission, learners=len(self._learners))
        async with await welcome(stream, greeting) as session:
            try:
                await admission.proxy.ask(Attach(session, frozenset(hello.tasks_held) if admission.resumed else frozenset()))
            except ActorStopped:  # with its gateway, or by a failure of its own: somebody else will stand for the learner
                await _say_come_back(session)

    async def _serve_fetches(self, stream: Stream, caller: Caller) -> None:
        await self._serve_transfers(stream, caller, read_fetch, ServeFetch)

    async def _serve_pushes(self, stream: Stream, caller: Caller) -> None:
        await self._serve_transfers(stream, caller, read_opening, TakePush)

    async def _serve_transfers(
        self,
        stream: Stream,
        caller: Caller,
        read: Callable[[Stream], Awaitable[T]],
        to_serve: Callable[[Stream, T], Request[None]],
    ) -> None:
        """One transfer after another; those of one token belong to one learner."""
        asked: T | None = await self._doorway.first(stream, read(stream))
        while asked is not None:
            token = asked.token
            proxy = await self._room.answer(self.ref.ask(FindProxy(token, caller)))
            with self._doorway.held_by(proxy, stream):
                while asked is not None and asked.token == token:
                    try:
                        await proxy.ask(to_serve(stream, asked))
                    except ActorStopped:
                        raise StreamClosed("the session is over; join again") from None
                    asked = None  # a small model's weights are in it, and the next one may come long after
                    asked = await _next(read, stream)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _by_learner(given: Mapping[TaskKey, TaskId]) -> dict[LearnerId, frozenset[TaskId]]:
    tasks: dict[LearnerId, set[TaskId]] = {}
    for (_, learner, _, _), task in given.items():
        tasks.setdefault(learner, set()).add(task)
    return {learner: frozenset(ids) for learner, ids in tasks.items()}


async def _say_come_back(session: Session) -> None:
    with suppress(StreamClosed, TimeoutError):
        async with asyncio.timeout(GOODBYE_S):
            await session.goodbye(GoodbyeReason.DRAINING, "this controller goes down, or begins again: reconnect")


async def _next(read: Callable[[Stream], Awaitable[T]], stream: Stream) -> T | None:
    """The request of the stream's next transfer; None if there is none: a stream that ends between two has done its duty."""
    try:
        return await read(stream)
    except StreamClosed:
        return None
