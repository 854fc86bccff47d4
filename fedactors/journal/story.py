"""From records to the state that a resumed federation begins with. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fedactors.journal.records import Admitted, Committing, Counted, Given, Happened, Opened, Record
from fedactors.model import LearnerId, Version
from fedactors.record import Event, EventKind
from fedactors.task import Round, TaskId, TaskKey, TaskKind

@dataclass(frozen=True, slots=True)
class Unended:
    """A round that gave a version, and whose evaluation was not over.

    Attributes:
        round: its number.
        version: that it gave.
        cohort: who was asked.
    """

    round: Round
    version: Version
    cohort: tuple[LearnerId, ...]


@dataclass(slots=True)
class Story:
    """What a journal tells.

    Attributes:
        events: all the news, without gaps.
        tokens: of the learners that are members.
        tasks: tasks that were given and not answered, as far as is known.
        counted: updates that count in the open round, by learner, the last ones; their weights are in the model store.
        committing: a commit that had begun: it is done if its version is in the model store.
        version: the newest committed version; None before there is one.
        next_round: the number of the round after the last committed one.
        here: learners that took part.
        unended: committed rounds that have not ended.
        trained_s: how long training has gone on, in all lives.
        lives: processes that have kept the journal.
        begun: a round has begun.
        over: it was finished.
    """

    events: list[Event] = field(default_factory=list)
    tokens: dict[LearnerId, bytes] = field(default_factory=dict)
    tasks: dict[TaskKey, TaskId] = field(default_factory=dict)
    counted: dict[TaskId, Counted] = field(default_factory=dict)
    committing: Committing | None = None
    version: Version | None = None
    next_round: Round = 1
    here: set[LearnerId] = field(default_factory=set)
    unended: dict[Round, Unended] = field(default_factory=dict)
    trained_s: float = 0.0
    lives: int = 0
    begun: bool = False
    over: bool = False
    _cohort: tuple[LearnerId, ...] = ()
    _began_unix_s: float | None = None

    def take(self, record: Record) -> None:
        """One more record."""
        match record:
            case Opened():
                self.lives += 1
                self._began_unix_s = None
            case Happened(event):
                self._happened(event)
            case Admitted(learner, token):
                self.tokens[learner] = token
            case Given(task, learner, kind, round_, version):
                self.tasks[kind, learner, round_, version] = task
            case Counted():
                self.counted[record.task] = record
            case Committing():
                self.committing = record

    def commit(self, round_: Round, version: Version) -> None:
        """A version is committed: what was given and counted towards it is over."""
        self.version, self.next_round = version, round_ + 1
        self.unended[round_] = Unended(round_, version, self._cohort)
        self.committing = None
        self.counted.clear()
        self.tasks = {key: task for key, task in self.tasks.items() if key[2] > round_ or key[0] is TaskKind.EVALUATE}

    def _happened(self, event: Event) -> None:
        self.events.append(event)
        if self._began_unix_s is not None:
            self.trained_s += max(event.unix_time_s - self._began_unix_s, 0.0)
            self._began_unix_s = event.unix_time_s
        if (note := _NOTES.get(event.kind)) is not None:
            note(self, event)

    def _on_joined(self, event: Event) -> None:
        self.here.add(event.body["learner"])

    def _on_departed(self, event: Event) -> None:
        self.here.discard(event.body["learner"])

    def _on_initialised(self, _: Event) -> None:
        self.version = 0

    def _on_began(self, event: Event) -> None:
        self.begun = True
        self._cohort = tuple(event.body["cohort"])
        self._began_unix_s = event.unix_time_s

    def _on_committed(self, event: Event) -> None:
        self.commit(event.body["round"], event.body["version"])

    def _on_abandoned(self, _: Event) -> None:
        self.counted.clear()

    def _on_ended(self, event: Event) -> None:
        self.unended.pop(event.body["record"]["round"], None)

    def _on_finished(self, _: Event) -> None:
        self.over = True


_NOTES: dict[EventKind, Callable[[Story, Event], None]] = {
    EventKind.LEARNER_JOINED: Story._on_joined,
    EventKind.LEARNER_DEPARTED: Story._on_departed,
    EventKind.INITIALISED: Story._on_initialised,
    EventKind.ROUND_BEGAN: Story._on_began,
    EventKind.ROUND_COMMITTED: Story._on_committed,
    EventKind.ROUND_ABANDONED: Story._on_abandoned,
    EventKind.ROUND_ENDED: Story._on_ended,
    EventKind.FINISHED: Story._on_finished,
}


def told(records: Iterable[Record]) -> Story:
    """What these records tell."""
    story = Story()
    for record in records:
        story.take(record)
    return story
