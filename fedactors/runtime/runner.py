"""The actor's own task: where its coroutine handlers and hooks run, one at a time."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Coroutine
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
        waits: the asks that the handler waits for: the edges in which circles are sought.
    """

    __slots__ = ("_door", "_work", "ref", "task", "waits")

    def __init__(self, ref: ActorRef[Any], work: Awaitable[Any]) -> None:
        queue = ref._queue
        self.ref = ref
        self.waits: dict[Reply[Any], None] = {}
        self._work: Awaitable[Any] | None = work
        self._door: Promise[None] | None = None
        self.task = queue.loop.create_task(self._main(), name=f"actor:{ref.path}")
        queue.running[self.task] = self
        self.task.add_done_callback(queue.running.pop)

    def start(self, work: Awaitable[Any]) -> None:
        """Go on with this; the task is parked."""
        self._work = work
        assert self._door is not None, "a parked task waits at its door"
        self._door.set_result(None)

    def end(self) -> None:
        """Cancel what is suspended; what has not begun never will."""
        work, self._work = self._work, None
        if isinstance(work, Coroutine):
            work.close()
        self.task.cancel()

    async def _main(self) -> None:
        ref, queue = self.ref, self.ref._queue
        while True:
            work, self._work = self._work, None
            while work is not None:
                begun = queue.stopwatch()
                try:
                    result = await work
                except CancelledError:
                    if ref._runner is not self:
                        raise  # this instance has been ended
                    ref._runner = None  # a cancelled task is not used again
                    ref._fail(ActorError(f"{ref.path}: a handler let a cancellation escape that was not meant for it"))
                    return
                except Exception as error:
                    if ref._runner is not self:
                        log.warning("error_after_end", actor=ref.path, error=repr(error))
                        return
                    ref._fail(error)
                else:
                    ref._reply(result)
                    result = None
                if ref._runner is not self:
                    return
                ref._woken_s = queue.now = queue.stopwatch()
                ref._handler_s += queue.now - begun
                self.waits.clear()
                work = ref._batch()
            if ref._runner is not self or not await self._park():
                return

    async def _park(self) -> bool:
        """Wait for work. False: end instead, for too many wait already."""
        queue = self.ref._queue
        if queue.parked >= PARKED_MAX:
            self.ref._runner = None
            return False
        queue.parked += 1
        self._door = promise(queue)
        try:
            await self._door
        finally:
            self._door = None
            queue.parked -= 1
        return True
