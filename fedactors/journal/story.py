"""From records to the state that a restarted, or resumed, federation goes on with. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fedactors.journal.records import Committing, Counted, Given, Happened, Known, Opened, Record
from fedactors.model import LearnerId, Version
from fedactors.record import Event, EventKind
from fedactors.task import Round, TaskId, TaskKey, TaskKind


@dataclass(frozen=True, slots=True)
class UnendedRound:
    """A round that gave a version, and whose evaluation is not over.

    Attributes:
        round: its number.
        version: that it gave.
        cohort: whose updates it combined, or who was asked for them.
        counted: the updates that it combined, as far as they were kept.
    """

    round: Round
    version: Version
    cohort: tuple[LearnerId, ...]
    counted: tuple[Counted, ...] = ()


@dataclass(slots=True)
class Story:
    """What the records tell.

    Attributes:
        lives: processes that have kept the journal.
        digests: of the tokens of the learners that are here.
        here: learners that take part.
        version: the newest committed version; None before there is one.
        next_round: the number of the round after the last committed one.
        training: training tasks of the open round, by round.
        evaluating: evaluations of rounds that have not ended, by round.
        counted: updates that count in the open round.
        committing: a commit that has begun: it is done if its version is in the model store.
        unended: committed rounds that have not ended.
        trained_s: how long training has gone on, in all lives.
        begun: a round has begun.
    """

    lives: int = 0
    digests: dict[LearnerId, bytes] = field(default_factory=dict)
    here: dict[LearnerId, None] = field(default_factory=dict)
    version: Version | None = None
    next_round: Round = 1
    training: dict[Round, dict[TaskKey, TaskId]] = field(default_factory=dict)
    evaluating: dict[Round, dict[TaskKey, TaskId]] = field(default_factory=dict)
    counted: dict[TaskId, Counted] = field(default_factory=dict)
    committing: Committing | None = None
    unended: dict[Round, UnendedRound] = field(default_factory=dict)
    trained_s: float = 0.0
    begun: bool = False
    _cohort: dict[LearnerId, None] = field(default_factory=dict)
    _last_unix_s: float | None = None  # of the last news of this life, once training goes on

    @property
    def given(self) -> dict[TaskKey, TaskId]:
        """Tasks that nobody is known to have answered."""
        rounds = (*self.training.values(), *self.evaluating.values())
        return {key: task for tasks in rounds for key, task in tasks.items()}

    def take(self, record: Record) -> None:
        """One more record."""
        match record:
            case Happened(event):
                self._happened(event)
            case Opened():
                self.lives += 1
                self._last_unix_s = None
            case Known(learner, digest):
                self.digests[learner] = digest
            case Given(task, learner, kind, round_, version):
                tasks = self.training if kind is TaskKind.TRAIN else self.evaluating
                tasks.setdefault(round_, {})[kind, learner, round_, version] = task
            case Counted():
                self.counted[record.task] = record
            case Committing():
                self.committing = record

    def _happened(self, event: Event) -> None:
        if self._last_unix_s is not None:
            self.trained_s += max(event.unix_time_s - self._last_unix_s, 0.0)
        if self.begun:
            self._last_unix_s = event.unix_time_s
        if (note := _NOTES.get(event.kind)) is not None:
            note(self, event)

    def _on_joined(self, event: Event) -> None:
        self.here[event.body["learner"]] = None

    def _on_departed(self, event: Event) -> None:
        self.here.pop(event.body["learner"], None)

    def _on_initialised(self, _: Event) -> None:
        self.version = 0

    def _on_began(self, event: Event) -> None:
        self.begun = True
        self._last_unix_s = event.unix_time_s
        self._cohort = dict.fromkeys(event.body["cohort"])

    def _on_accepted(self, event: Event) -> None:
        self._cohort[event.body["learner"]] = None

    def _on_committed(self, event: Event) -> None:
        round_, version = event.body["round"], event.body["version"]
        self.version, self.next_round = version, round_ + 1
        self.unended[round_] = UnendedRound(round_, version, tuple(self._cohort), tuple(self.counted.values()))
        self.committing = None
        self.counted.clear()
        self.training = {number: tasks for number, tasks in self.training.items() if number > round_}

    def _on_abandoned(self, event: Event) -> None:
        self.counted.clear()
        self.training.pop(event.body["round"], None)

    def _on_ended(self, event: Event) -> None:
        round_ = event.body["record"]["round"]
        self.unended.pop(round_, None)
        self.evaluating.pop(round_, None)


_NOTES: dict[EventKind, Callable[[Story, Event], None]] = {
    EventKind.LEARNER_JOINED: Story._on_joined,
    EventKind.LEARNER_DEPARTED: Story._on_departed,
    EventKind.INITIALISED: Story._on_initialised,
    EventKind.ROUND_BEGAN: Story._on_began,
    EventKind.UPDATE_ACCEPTED: Story._on_accepted,
    EventKind.ROUND_COMMITTED: Story._on_committed,
    EventKind.ROUND_ABANDONED: Story._on_abandoned,
    EventKind.ROUND_ENDED: Story._on_ended,
}


def told(records: Iterable[Record]) -> Story:
    """What these records tell."""
    story = Story()
    for record in records:
        story.take(record)
    return story
