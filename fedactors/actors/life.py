"""A federation's life, as far as it must outlive a failure of the controller: its phase, its progress and its news."""

from __future__ import annotations

import enum
import itertools
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedactors.journal import Happened, Journal, NoJournal
from fedactors.model import Layout, LearnerId, Version
from fedactors.record import Event, EventKind, RoundRecord
from fedactors.stop import StopConditions, StopState
from fedactors.task import Round, TaskId

EVENTS_KEPT = 100_000
"""Events that a driver which comes late finds at least."""


class Phase(enum.StrEnum):
    """Where a federation stands; it only moves downward in this list."""

    WAITING = "waiting"
    """For the order to start."""
    INITIALISING = "initialising"
    """For enough learners, and for the initial weights of one of them."""
    TRAINING = "training"
    FINISHING = "finishing"
    """No further round begins; what is open is combined, evaluated and recorded."""
    DONE = "done"


def new_task_ids() -> Iterator[TaskId]:
    """Task ids that no other federation, and no other run of this one, ever gives."""
    run = secrets.token_hex(4)
    return (f"{run}-{number}" for number in itertools.count(1))


@dataclass(slots=True)
class Life:
    """The state of one federation. Only the controller changes it.

    Attributes:
        conditions: when to stop.
        journal: what must not be forgotten, and what it comes to.
        stop: how far these are from being met.
        tasks: unused task ids.
        phase: where the federation stands.
        layout: of the global model; None until there is one.
        version: the newest committed version; None until there is one.
        next_round: the number of the round after the last committed one.
        here: learners that take part.
        is_resumed: another process led it before, and nothing was committed since.
        had_scheduler: a scheduler has been at it.
        setbacks: how often an actor's failure has undone the open round since the last commit.
        trouble: the last such failure, in words.
        paused: no further round is granted.
        stop_reason: why it ends or ended, in words.
        failed: it ended because it could not go on.
        events: the newest news, without gaps.
        forgotten: how many older ones there were; the number of the first that is kept.
    """

    conditions: StopConditions
    journal: Journal = field(default_factory=NoJournal)
    stop: StopState = field(init=False)
    tasks: Iterator[TaskId] = field(default_factory=new_task_ids)
    phase: Phase = Phase.WAITING
    layout: Layout | None = None
    version: Version | None = None
    next_round: Round = 1
    here: set[LearnerId] = field(default_factory=set)
    is_resumed: bool = False
    had_scheduler: bool = False
    setbacks: int = 0
    trouble: str = ""
    paused: bool = False
    stop_reason: str | None = None
    failed: bool = False
    events: list[Event] = field(default_factory=list)
    forgotten: int = 0

    def __post_init__(self) -> None:
        self.stop = self.conditions.start()

    def publish(self, unix_s: float, kind: EventKind, body: Mapping[str, Any]) -> None:
        """Add one piece of news.

        Raises:
            StoreError: it cannot be kept.
        """
        event = Event(self.next_number, unix_s, kind, body)
        self.journal.write(Happened(event))
        self.events.append(event)
        if len(self.events) > 2 * EVENTS_KEPT:
            del self.events[:EVENTS_KEPT]
            self.forgotten += EVENTS_KEPT

    @property
    def next_number(self) -> int:
        """The number of the next event."""
        return self.forgotten + len(self.events)

    def events_from(self, number: int, at_most: int) -> list[Event]:
        """Events from a number on; a number that is forgotten or lies ahead gives none."""
        first = number - self.forgotten
        return self.events[first : first + at_most] if first >= 0 else []

    @classmethod
    def resumed(cls, conditions: StopConditions, journal: Journal, events: Sequence[Event], layout: Layout | None) -> Life:
        """A life as the process that led it before has left it.

        Args:
            conditions: when to stop; they may have changed.
            journal: with the story of the life so far.
            events: its news.
            layout: of the global model, if there is one.
        """
        story = journal.story
        life = cls(conditions, journal, layout=layout, version=story.version, next_round=story.next_round)
        life.here, life.events = set(story.here), list(events)
        life.is_resumed = True
        if story.begun:
            life.phase, life.stop_reason = Phase.TRAINING, life._replayed()
        last = events[-1] if events else None
        if last is not None and last.kind is EventKind.FINISHED and life._is_over(last):
            life.phase, life.stop_reason = Phase.DONE, last.body["stop_reason"]
        elif life.stop_reason:
            life.phase = Phase.FINISHING
        return life

    def _is_over(self, finished: Event) -> bool:
        """Whether a life that had finished has nothing to go on with: it did not fail, and its stop conditions are met."""
        return not finished.body["failed"] and (self.stop_reason is not None or self.phase is Phase.WAITING)

    def _replayed(self) -> str | None:
        """Have the stop conditions see what has happened; why to stop, if one of them is met."""
        why = None
        for event in self.events:
            if event.kind is EventKind.ROUND_COMMITTED:
                why = self.stop.after_commit(event.body["round"], event.body["updates"]) or why
            elif event.kind is EventKind.ROUND_ENDED:
                why = self.stop.after_evaluation(RoundRecord.from_map(event.body["record"])) or why
        return why

    @property
    def running(self) -> bool:
        """Whether it has begun and is not over."""
        return self.phase in {Phase.INITIALISING, Phase.TRAINING, Phase.FINISHING}
