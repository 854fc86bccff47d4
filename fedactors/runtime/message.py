"""What actors say to each other, as far as the runtime itself has a word in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from fedactors.runtime.ref import ActorRef

R = TypeVar("R")
T = TypeVar("T")


class Request(Generic[R]):
    """Base of the messages that are answered, with an R. A message that is only told needs no base."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Terminated:
    """A watched actor has stopped; comes after everything that it had sent to the watcher.

    Attributes:
        ref: the actor that is gone.
        reason: the failure that ended it; None: it was stopped.
    """

    ref: ActorRef[Any]
    reason: BaseException | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that nobody handled.

    Attributes:
        message: as it was sent.
        ref: whom it was sent to.
        why: "stopped" (the actor is gone) or "unhandled" (it has no handler for it).
    """

    message: Any
    ref: ActorRef[Any]
    why: str


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How an owned task ended.

    Attributes:
        value: what it returned; None where it raised.
        error: what it raised; None where it returned.
    """

    value: T | None
    error: BaseException | None = None

    def unwrap(self) -> T:
        """The value, or the error raised."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)  # without an error there is a value, even where T is None itself


class Stop:
    """The signal that ends an actor; `own`: the actor gave it to itself."""

    __slots__ = ("own",)

    def __init__(self, *, own: bool) -> None:
        self.own = own


class Tick:
    """A timer of an actor and, when it has run out, its entry in the mailbox.

    Attributes:
        key: its name; the tick itself where the actor gave none.
        message: what the actor is told.
        interval_s: of a timer that repeats.
        queued: it has run out and is not handled yet; a repeating timer skips a beat rather than pile up.
    """

    __slots__ = ("cancel", "due_s", "interval_s", "key", "message", "queued")

    def __init__(self, message: Any, key: Any, due_s: float, interval_s: float | None) -> None:
        self.message = message
        self.key = self if key is None else key
        self.due_s = due_s
        self.interval_s = interval_s
        self.queued = False
        self.cancel: Callable[[], None]


class Finished:
    """An owned task is done: the entry in the mailbox that becomes a message when its turn comes."""

    __slots__ = ("outcome", "then")

    def __init__(self, outcome: Outcome[Any], then: Callable[[Outcome[Any]], Any]) -> None:
        self.outcome = outcome
        self.then = then
