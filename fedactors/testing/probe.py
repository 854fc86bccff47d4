"""A probe: an actor that keeps what it is sent, and answers what it is asked as the test says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fedactors.runtime import Actor, ActorRef, ActorSystem, Deferred, Request, Restart, Terminated, handle

M = TypeVar("M")
T = TypeVar("T")


class Probe(Generic[M]):
    """Stands in for an actor. Give `ref` to the code under test, then look at what came.

    Attributes:
        ref: its address; takes any message.
        received: every message so far, in order.
    """

    def __init__(self, system: ActorSystem, name: str | None = None, *, capacity: int | None = None) -> None:
        self.received: list[Any] = []
        self._news = asyncio.Event()
        self._seen = 0
        self._asked: deque[Deferred[Any]] = deque()
        self._answers: dict[type, Callable[[Any], Any]] = {}
        self.ref: ActorRef[M] = system.spawn(lambda: _Recorder(self), name=name, capacity=capacity, restart=Restart.TEMPORARY)

    async def expect(self, kind: type[T], timeout_s: float = 1.0) -> T:
        """The next message that no `expect` has returned yet; it must be one of that kind.

        Raises:
            AssertionError: it is of another kind, or none comes in time.
        """
        message = await self._next(f"expected {kind.__name__}", timeout_s)
        assert isinstance(message, kind), f"expected {kind.__name__}, but {message!r} came; all that came: {self.received!r}"
        return message

    async def expect_nothing(self, within_s: float = 1.0) -> None:
        """No message comes for so long."""
        try:
            message = await self._next("", within_s)
        except AssertionError:
            return
        raise AssertionError(f"expected nothing for {within_s:g} s, but {message!r} came")

    def answer(self, kind: type[Request[T]], answer: Callable[[Any], T]) -> None:
        """Answer requests of that kind from now on; what `answer` raises goes to the asker."""
        self._answers[kind] = answer

    def reply(self, value: Any) -> None:
        """Answer the oldest request that is not answered yet."""
        assert self._asked, f"no request waits for an answer; all that came: {self.received!r}"
        self._asked.popleft().resolve(value)

    def watch(self, ref: ActorRef[Any]) -> None:
        """`Terminated` comes here when that actor has stopped."""
        self.ref.tell(_Watch(ref))  # type: ignore[arg-type]  # the recorder takes any message

    async def _next(self, what: str, timeout_s: float) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                while self._seen == len(self.received):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{what}, but nothing came in {timeout_s:g} s; all that came: {self.received!r}") from None
        self._seen += 1
        return self.received[self._seen - 1]

    def _record(self, message: Any) -> None:
        self.received.append(message)
        self._news.set()


@dataclass(frozen=True, slots=True)
class _Watch:
    ref: ActorRef[Any]


class _Recorder(Actor[Any]):
    def __init__(self, probe: Probe[Any]) -> None:
        self._probe = probe

    @handle
    def any(self, message: object) -> Any:
        """Keep it."""
        self._probe._record(message)
        if not isinstance(message, Request):
            return None
        answer = self._probe._answers.get(type(message))
        deferred = self.reply_later()
        if answer is None:
            self._probe._asked.append(deferred)
            return None
        try:
            deferred.resolve(answer(message))
        except Exception as error:
            deferred.reject(error)
        return None

    @handle
    def terminated(self, message: Terminated) -> None:
        """Keep it."""
        self._probe._record(message)

    @handle
    def begin_watch(self, message: _Watch) -> None:
        """The probe's own wish."""
        self.watch(message.ref)
