"""What belongs to one instance of an actor and ends with it: timers, owned tasks, watches, unanswered deferred replies."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from fedactors.errors import ActorStopped
from fedactors.runtime.mailbox import Grave
from fedactors.runtime.message import Finished, Outcome, Terminated, Tick
from fedactors.runtime.reply import Reply, refuse

if TYPE_CHECKING:
    from fedactors.runtime.ref import ActorRef

T = TypeVar("T")


class Belongings(ABC):
    """Dicts serve as sets that keep their order, so that a run can be repeated.

    Attributes:
        ref: whose they are.
        watchers: who is told when the actor has stopped; they outlive the instance.
        watching: whose end the instance is told of.
        timers: by key.
        tasks: that it owns.
        deferred: asks that it will answer later.
    """

    __slots__ = ("deferred", "ref", "tasks", "timers", "watchers", "watching")

    def __init__(self, ref: ActorRef[Any]) -> None:
        self.ref = ref
        self.watchers: dict[ActorRef[Any], None] = {}
        self.watching: dict[ActorRef[Any], None] = {}
        self.timers: dict[Any, Tick] = {}
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.deferred: dict[Reply[Any], None] = {}

    @abstractmethod
    def check_running(self, purpose: str) -> None:
        """Refuse what would outlive the instance."""

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """An owned task has failed."""

    def let_go(self) -> list[asyncio.Task[Any]]:
        """End it all; the tasks, cancelled, that are to be waited for."""
        for tick in self.timers.values():
            tick.cancel()
        for target in self.watching:
            target._get_life().watchers.pop(self.ref, None)
        for reply in list(self.deferred):
            refuse(reply, "has ended")
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        for owned in (self.timers, self.watching, self.deferred, self.tasks):
            owned.clear()
        return tasks

    # ------------------------------------------------------------------------------------------------------------------ watches

    def watch(self, target: ActorRef[Any]) -> None:
        """See `Actor.watch`."""
        self.check_running("watch")
        if isinstance(target._mailbox, Grave):
            self.ref._post(Terminated(target, target._mailbox.reason))
        else:
            target._get_life().watchers[self.ref] = None
            self.watching[target] = None

    def unwatch(self, target: ActorRef[Any]) -> None:
        """See `Actor.unwatch`."""
        if target in self.watching:
            del self.watching[target], target._get_life().watchers[self.ref]
        mailbox = self.ref._mailbox or deque()
        for entry in [entry for entry in mailbox if isinstance(entry, Terminated) and entry.ref is target]:
            mailbox.remove(entry)

    # ------------------------------------------------------------------------------------------------------------------- timers

    def set_timer(self, message: Any, key: Any, delay_s: float, interval_s: float | None) -> None:
        """See `Actor.after` and `Actor.every`."""
        self.check_running("set a timer")
        tick = Tick(message, key, self.ref._queue.loop.time() + max(delay_s, 0.0), interval_s)
        self.cancel_timer(tick.key)
        self.timers[tick.key] = tick
        self._wind(tick)

    def cancel_timer(self, key: Any) -> None:
        """See `Actor.cancel`."""
        tick = self.timers.pop(key, None)
        if tick is not None:
            tick.cancel()

    def begin_tick(self, tick: Tick) -> bool:
        """A timer's entry in the mailbox has its turn. False: it was cancelled or replaced meanwhile."""
        if self.timers.get(tick.key) is not tick:
            return False
        tick.queued = False
        if tick.interval_s is None:
            del self.timers[tick.key]
        return True

    def _wind(self, tick: Tick) -> None:
        tick.cancel = self.ref._queue.loop.call_at(tick.due_s, self._run_out, tick).cancel

    def _run_out(self, tick: Tick) -> None:
        if not tick.queued:
            tick.queued = True
            self.ref._post(tick)
        if tick.interval_s is not None:
            tick.due_s = max(tick.due_s + tick.interval_s, self.ref._queue.loop.time())
            self._wind(tick)

    # --------------------------------------------------------------------------------------------- tasks and deferred replies

    def run(
        self, coroutine: Coroutine[Any, Any, T], then: Callable[[Outcome[T]], Any] | None, name: str | None
    ) -> asyncio.Task[T]:
        """See `Actor.run`."""
        try:
            self.check_running("run a task")
        except ActorStopped:
            coroutine.close()
            raise
        task = self.ref._queue.loop.create_task(coroutine, name=name or f"owned:{self.ref.path}")
        self.tasks[task] = None
        task.add_done_callback(partial(self._task_done, then))
        return task

    def _task_done(self, then: Callable[[Outcome[T]], Any] | None, task: asyncio.Task[T]) -> None:
        owned = task in self.tasks
        self.tasks.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()  # looked at in any case: the loop complains of errors that nobody has seen
        if not owned:
            return
        if then is not None:
            outcome: Outcome[T] = Outcome(task.result()) if error is None else Outcome(None, error)
            self.ref._post(Finished(outcome, then))
        elif error is not None:
            self.fail(error)

    def defer(self, reply: Reply[Any]) -> None:
        """See `Actor.reply_later`."""
        self.deferred[reply] = None
        asyncio.Future.add_done_callback(reply, lambda answered: self.deferred.pop(answered, None))
