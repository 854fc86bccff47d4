"""What a user writes: an actor's state and its handlers."""

from __future__ import annotations

from asyncio import Task
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from fedactors.runtime.clock import Clock
from fedactors.runtime.handlers import HandlerTable
from fedactors.runtime.message import Outcome, Stop
from fedactors.runtime.reply import Deferred
from fedactors.runtime.supervisor import Restart, Supervision

if TYPE_CHECKING:
    from fedactors.runtime.ref import ActorRef
    from fedactors.runtime.system import ActorSystem

M = TypeVar("M")
N = TypeVar("N")
T = TypeVar("T")


class Actor(Generic[M]):
    """State and handlers: one message at a time, never called from outside - others hold its `ref`.

    A handler is a plain function where it awaits nothing, a coroutine function where it does; what it returns is the answer to
    an ask. An exception goes to the asker and to supervision, which restarts the actor from its factory; `Rejected` goes to the
    asker alone. The failing message is not delivered again, and what is queued waits for the new instance. Timers, owned tasks,
    watches, children and unanswered deferred replies belong to the instance and end with it.

    `ref`, `system`, `clock` and what follows them are there from `started()` on, not yet in the constructor.
    """

    supervision: ClassVar[Supervision] = Supervision()
    """How it treats its children."""

    ref: ActorRef[M]
    """Its own address."""

    __slots__ = ("ref",)

    def started(self) -> Awaitable[None] | None:
        """Before the first message of this instance. May be a coroutine function."""
        return None

    def stopped(self, reason: BaseException | None) -> Awaitable[None] | None:  # noqa: ARG002 - for those who override it
        """After its last message. May be a coroutine function; what it raises is logged.

        Args:
            reason: the failure that ends this instance; None: it was stopped.
        """
        return None

    @property
    def system(self) -> ActorSystem:
        """The system that it lives in."""
        return self.ref._system

    @property
    def clock(self) -> Clock:
        """The system's clock."""
        return self.ref._system.clock

    def spawn(
        self,
        factory: Callable[[], Actor[N]],
        *,
        name: str | None = None,
        capacity: int | None = None,
        restart: Restart = Restart.PERMANENT,
    ) -> ActorRef[N]:
        """A child; see `ActorSystem.spawn`."""
        return self.ref._get_life().spawn(factory, name, capacity, restart)

    def watch(self, ref: ActorRef[Any]) -> None:
        """Be told `Terminated` once that actor has stopped, at once if it has already. Watching twice is watching once."""
        self.ref._get_life().watch(ref)

    def unwatch(self, ref: ActorRef[Any]) -> None:
        """Do not be told, not even of what has happened but is not handled yet."""
        self.ref._get_life().unwatch(ref)

    def after(self, delay_s: float, message: M, *, key: Hashable | None = None) -> None:
        """Tell myself that message once, in delay_s seconds. A timer with the same key is replaced."""
        self.ref._get_life().set_timer(message, key, delay_s, None)

    def every(self, interval_s: float, message: M, *, key: Hashable | None = None) -> None:
        """Tell myself that message every interval_s seconds; a beat is skipped while the one before is still in the mailbox."""
        assert interval_s > 0, f"every({interval_s!r}): the interval is in seconds, > 0"
        self.ref._get_life().set_timer(message, key, interval_s, interval_s)

    def cancel(self, key: Hashable) -> None:
        """Nothing comes of that timer any more, even if it has run out; there need not be one."""
        self.ref._get_life().cancel_timer(key)

    def run(
        self, coroutine: Coroutine[Any, Any, T], then: Callable[[Outcome[T]], M] | None = None, *, name: str | None = None
    ) -> Task[T]:
        """Run a coroutine beside the handlers, as a task that is cancelled when this instance ends.

        Args:
            coroutine: must not touch this actor's state across an await without a thought for the handlers.
            then: makes the message that this actor gets when the task is done; runs as a handler does, and what it raises is a
                failure of the actor. Without it, an error of the coroutine is a failure of the actor. A task that was cancelled
                ends without a word.
            name: of the task.
        """
        return self.ref._get_life().run(coroutine, then, name)

    def reply_later(self) -> Deferred[Any]:
        """In a handler of a request: take the answer out of the handler's hands, which may return anything then."""
        return self.ref._defer()

    def stop(self) -> None:
        """Stop after this message; what is queued is not handled. As a PERMANENT child, be restarted instead."""
        self.ref._signal(Stop(own=True))

    @classmethod
    def _handlers(cls) -> HandlerTable:
        """Made when the first actor of the class is spawned: by then its annotations can be read."""
        table = vars(cls).get("_table")
        if not isinstance(table, HandlerTable):
            table = HandlerTable(cls)
            cls._table = table
        return table

    _table: ClassVar[HandlerTable]
