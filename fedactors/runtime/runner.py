"""The actor's own task: where its coroutine handlers and hooks run, one at a time.

A coroutine's first step runs right in the actor's turn, on behalf of the task; most need no other. What is suspended then goes
on in the task itself, and so does what is queued behind it. `asyncio.current_task()` is the actor's task all the time.
"""

from __future__ import annotations

import contextvars
from asyncio import CancelledError
from asyncio.tasks import _enter_task, _leave_task, current_task
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any

from fedactors.errors import ActorError
from fedactors.log import get_logger
from fedactors.runtime.reply import Promise, Reply, promise
from fedactors.runtime.runqueue import PARKED_MAX

if TYPE_CHECKING:
    from fedactors.runtime.ref import ActorRef

log = get_logger("fedactors.runtime")


class Runner:
    """Made at the first coroutine and kept parked after it, unless too many idle actors keep one.

    Attributes:
        ref: whose it is.
        task: the task; cancelling it cancels the handler that is suspended.
        begun_s: when the handler at hand began, by the stopwatch.
        waits: the asks that the handler waits for: the edges in which circles are sought.
    """

    __slots__ = ("_context", "_door", "_stepping", "_suspended", "begun_s", "ref", "task", "waits")

    def __init__(self, ref: ActorRef[Any]) -> None:
        queue = ref._queue
        self.ref = ref
        self.waits: dict[Reply[Any], None] = {}
        self.begun_s = 0.0
        self._context = contextvars.copy_context()
        self._door: Promise[None] | None = None  # where the task is parked
        self._stepping = False
        self._suspended: Suspended | None = None  # what the task is to go on with
        self.task = queue.loop.create_task(self._main(), name=f"actor:{ref.path}", context=self._context)
        queue.running[self.task] = self
        self.task.add_done_callback(queue.running.pop)

    def end(self) -> None:
        """Cancel the handler at hand. In its first step, or about to go on, it is cancelled at its next await."""
        if not self._stepping and self._suspended is None:
            self.task.cancel()

    def first_step(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Run a handler up to its first suspension. True: it has finished. Raises what it raises."""
        loop, asker = self.ref._queue.loop, current_task(self.ref._queue.loop)
        self.begun_s = self.ref._queue.read_clock()
        self._stepping = True
        if asker is not None:
            _leave_task(loop, asker)
        _enter_task(loop, self.task)
        try:
            awaited = self._context.run(work.send, None)
        except StopIteration as done:
            self.ref._reply(done.value)
            return True
        else:
            self._suspended = Suspended(work, awaited)
            if self._door is not None:
                self._door.set_result(None)
            return False
        finally:
            self._stepping = False
            _leave_task(loop, self.task)
            if asker is not None:
                _enter_task(loop, asker)
            if self.ref._runner is not self and self._suspended is None:
                self.task.cancel()

    async def _main(self) -> None:
        while await self._suspension():
            work: Suspended | Coroutine[Any, Any, Any] | None = self._suspended
            self._suspended = None
            if self.ref._runner is not self:
                self.task.cancel()  # takes effect where the handler is suspended
            while work is not None:
                if not await self._finish(work):
                    return
                work = self.ref._batch()
                self.begun_s = self.ref._queue.now

    async def _finish(self, work: Suspended | Coroutine[Any, Any, Any]) -> bool:
        """See a handler to its end. False: its instance has ended, or the task cannot be used again."""
        ref, queue = self.ref, self.ref._queue
        try:
            result = await work
        except CancelledError:
            if ref._runner is not self:
                raise  # this instance has been ended
            ref._runner = None  # a cancelled task is not used again
            ref._fail(ActorError(f"{ref.path}: a handler let a cancellation escape that was not meant for it"))
        except Exception as error:
            if ref._runner is self:
                ref._fail(error)
            else:
                log.warning("error_after_end", actor=ref.path, error=repr(error))
        else:
            if ref._runner is self:
                ref._reply(result)
        if ref._runner is not self:
            return False
        self.waits.clear()
        ref._woken_s = queue.now = queue.stopwatch()
        ref._handler_s += queue.now - self.begun_s
        return True

    async def _suspension(self) -> bool:
        """Wait, parked, for a handler that is suspended. False: end instead, for too many wait already."""
        ref, queue = self.ref, self.ref._queue
        if self._suspended is not None:
            return True
        if ref._runner is not self:
            return False
        if queue.parked >= PARKED_MAX:
            ref._runner = None
            return False
        queue.parked += 1
        self._door = promise(queue)
        try:
            await self._door
        finally:
            self._door = None
            queue.parked -= 1
        return True


class Suspended:
    """A coroutine after its first step, as an awaitable: it goes on where it is."""

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Any]:
        """What `yield from` would do, had it begun with the first step."""
        coroutine, awaited = self._coroutine, self._awaited
        while True:
            thrown, sent = None, None
            try:
                sent = yield awaited
            except BaseException as error:  # passed on, CancelledError too
                thrown = error
            try:
                awaited = coroutine.send(sent) if thrown is None else coroutine.throw(thrown)
            except StopIteration as done:
                return done.value
