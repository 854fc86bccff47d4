"""What the runtime tells about itself: statistics, the flight recorder, dead letters, slow turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedactors.log import get_logger
from fedactors.runtime.supervisor import Decision

if TYPE_CHECKING:
    from fedactors.runtime.ref import ActorRef

log = get_logger("fedactors.runtime")

RECENT = 8
"""Messages whose types the flight recorder of an actor keeps; never the messages, which may hold whole models."""

DEAD_LETTERS_LOGGED = 10
"""In a period; the others are counted only."""

DEAD_LETTERS_PERIOD_S = 10.0


@dataclass(frozen=True, slots=True)
class ActorStatistics:
    """What one actor has done.

    Attributes:
        path: which actor.
        messages: handled, of all its instances; the runtime's own signals count.
        depth: messages in its mailbox.
        wait_s: how long it was ready and waited for its turns, in all.
        handler_s: how long its handlers took, in all; for coroutines, including what they awaited.
        restarts: instances made after a failure.
    """

    path: str
    messages: int
    depth: int
    wait_s: float
    handler_s: float
    restarts: int


@dataclass(frozen=True, slots=True)
class SystemStatistics:
    """What a system has done.

    Attributes:
        actors: of each actor that lives, parents before children.
        dead_letters: messages that nobody handled.
        failures: of all actors so far.
        ready: actors and tasks that wait for their turn now.
        lag_s: how late the event loop came to run the actors last time.
        lag_max_s: at worst.
    """

    actors: tuple[ActorStatistics, ...]
    dead_letters: int
    failures: int
    ready: int
    lag_s: float
    lag_max_s: float


def recent_messages(ref: ActorRef[Any]) -> list[str]:
    """The flight recorder: the types of the last messages of an actor, the newest last."""
    recent, number = ref._recent or [], ref._messages
    kinds = (recent[index % RECENT] for index in range(max(number - RECENT, 0), number)) if recent else ()
    return [kind.__name__ for kind in kinds if kind is not None]


def note_failure(ref: ActorRef[Any], error: BaseException, decision: Decision) -> None:
    """Put the story of a failure on the exception and into the log."""
    recent = recent_messages(ref)
    error.add_note(f"in actor {ref.path}; its last messages: {', '.join(recent) or 'none'}; decision: {decision}")
    log.error("actor_failed", actor=ref.path, decision=str(decision), recent=recent, error=repr(error), exc_info=error)


def slow_turn(ref: ActorRef[Any], seconds: float) -> None:
    """A handler has kept the event loop."""
    log.warning("actor_keeps_loop", actor=ref.path, seconds=round(seconds, 3), recent=recent_messages(ref))


class DeadLetters:
    """Counts dead letters, and logs a few of them in a period."""

    def __init__(self) -> None:
        self.count = 0
        self._period_s = float("-inf")
        self._logged = 0

    def note(self, message: Any, ref: ActorRef[Any], why: str, now_s: float) -> None:
        """One more."""
        self.count += 1
        if now_s - self._period_s >= DEAD_LETTERS_PERIOD_S:
            self._period_s, self._logged = now_s, 0
        if self._logged < DEAD_LETTERS_LOGGED:
            self._logged += 1
            log.warning("dead_letter", actor=ref.path, message=type(message).__name__, why=why, count=self.count)
