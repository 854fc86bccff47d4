"""Promises: the futures of answers, kept by the run queue; deferred replies; circles of asks."""

from __future__ import annotations

import contextvars
from asyncio import Future
from asyncio.tasks import current_task
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from typing_extensions import override

from fedactors.errors import ActorStopped, AskCycle, AskTimeout

if TYPE_CHECKING:
    from fedactors.runtime.ref import ActorRef
    from fedactors.runtime.runner import Runner
    from fedactors.runtime.runqueue import RunQueue

R = TypeVar("R")


class Promise(Future[R]):
    """A future whose waiting task is resumed by the run queue, without a turn of the event loop.

    Only the first callback, as a rule that of the task that awaits it, takes this way. The slots are filled by `promise()`:
    a constructor in Python would double its price.
    """

    __slots__ = ("_context", "_queue", "_wake")

    _queue: RunQueue
    _wake: Callable[..., object] | None
    _context: contextvars.Context | None

    @override
    def add_done_callback(self, fn: Callable[[Self], object], /, *, context: contextvars.Context | None = None) -> None:
        if self._wake is not None or self.done():
            super().add_done_callback(fn, context=context)
        else:
            self._wake, self._context = fn, context or contextvars.copy_context()

    @override
    def remove_done_callback(self, fn: Callable[[Self], object], /) -> int:
        if self._wake == fn:
            self._wake = None
            return 1 + super().remove_done_callback(fn)
        return super().remove_done_callback(fn)

    @override
    def set_result(self, result: R, /) -> None:
        super().set_result(result)
        if self._wake is not None:
            self._queue.add(self)

    @override
    def set_exception(self, exception: type[BaseException] | BaseException, /) -> None:
        super().set_exception(exception)
        if self._wake is not None:
            self._queue.add(self)

    @override
    def cancel(self, msg: Any | None = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled and self._wake is not None:
            self._queue.add(self)
        return cancelled

    def _turn(self) -> None:
        wake, context = self._wake, self._context
        self._wake = self._context = None
        if wake is not None and context is not None:
            context.run(wake, self)
        self._queue.now = self._queue.stopwatch()


def promise(queue: RunQueue) -> Promise[Any]:
    """A promise that nobody waits for yet."""
    made: Promise[Any] = Promise(loop=queue.loop)
    made._queue, made._wake = queue, None
    return made


class Reply(Promise[R]):
    """An ask: the envelope of the message and the future of its answer in one."""

    __slots__ = ("message", "target", "waiter")

    message: Any
    target: ActorRef[Any]
    waiter: Runner | None

    @override
    def add_done_callback(self, fn: Callable[[Self], object], /, *, context: contextvars.Context | None = None) -> None:
        if not self.done() and self.waiter is None:
            runner = self._queue.running.get(current_task(self._queue.loop))
            if runner is not None:
                self._wait_for(runner)
        super().add_done_callback(fn, context=context)

    def _wait_for(self, runner: Runner) -> None:
        """A handler waits from here on; a wait that closes a circle is refused."""
        chain = find_chain(self.target, runner.ref)
        if chain is not None:
            paths = " -> ".join(ref.path for ref in (runner.ref, *chain))
            self.set_exception(
                AskCycle(f"{paths}: each waits for the next one's answer; use reply_later() or run() in one of them")
            )
        else:
            self.waiter = runner
            runner.waits[self] = None
            Future.add_done_callback(self, _waits_no_more)

    def expire_after(self, timeout_s: float) -> None:
        """Fail with AskTimeout unless answered by then."""
        timer = self._queue.loop.call_later(timeout_s, self._expire, timeout_s)
        Future.add_done_callback(self, lambda _: timer.cancel())

    def _expire(self, timeout_s: float) -> None:
        if not self.done():
            name = type(self.message).__name__
            self.set_exception(AskTimeout(f"{self.target.path} did not answer {name} within {timeout_s:g} s"))


def _waits_no_more(reply: Future[Any]) -> None:
    assert isinstance(reply, Reply)
    if reply.waiter is not None:
        reply.waiter.waits.pop(reply, None)


def find_chain(start: ActorRef[Any], goal: ActorRef[Any]) -> list[ActorRef[Any]] | None:
    """The actors from `start` to `goal`, each waiting for an answer of the next; None where there is no such chain."""
    if start is goal:
        return [goal]
    came_from: dict[ActorRef[Any], ActorRef[Any]] = {}
    edge = [start]
    while edge:
        ref = edge.pop()
        for reply in ref._runner.waits if ref._runner is not None else ():
            target = reply.target
            if reply.done() or target in came_from or target is start:
                continue
            came_from[target] = ref
            if target is goal:
                chain = [goal]
                while chain[-1] is not start:
                    chain.append(came_from[chain[-1]])
                return chain[::-1]
            edge.append(target)
    return None


class Deferred(Generic[R]):
    """An answer that is given later. The actor handles other messages meanwhile."""

    __slots__ = ("_reply",)

    def __init__(self, reply: Reply[R] | None) -> None:
        self._reply = reply

    def done(self) -> bool:
        """It was answered, or nobody waits for it any more."""
        return self._reply is None or self._reply.done()

    def resolve(self, value: R) -> None:
        """Answer; without effect once done."""
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(value)

    def reject(self, error: BaseException) -> None:
        """Answer with an error; without effect once done. It is no failure of the actor."""
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)


def refuse(reply: Reply[Any], why: str) -> None:
    """Tell an asker that no answer will come."""
    if not reply.done():
        reply.set_exception(ActorStopped(f"{reply.target.path} {why} before it answered {type(reply.message).__name__}"))
