"""What is known of a run from its events so far, and which of them deserve a line; pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fedactors.model import LearnerId, Version
from fedactors.observe.figures import counted, duration, metrics, size
from fedactors.record import Event, EventKind, RoundRecord
from fedactors.task import Metrics, Round


class State(enum.StrEnum):
    """What a learner is doing."""

    WAITING = "waiting"
    TRAINING = "training"
    UPLOADED = "uploaded"
    EVALUATING = "evaluating"
    EVALUATED = "evaluated"
    REFUSED = "refused"
    FAILED = "failed"
    LEFT = "left"
    LOST = "lost"
    DISPLACED = "displaced"


TROUBLED = frozenset({State.REFUSED, State.FAILED, State.LOST, State.DISPLACED})
GONE = frozenset({State.LEFT, State.LOST, State.DISPLACED})
HERE = tuple(state for state in State if state not in GONE)


class Weight(enum.Enum):
    """How much a line matters."""

    DETAIL = enum.auto()
    """A live display shows it in its picture instead."""
    ROUND = enum.auto()
    WARNING = enum.auto()
    FAILURE = enum.auto()


@dataclass(frozen=True, slots=True)
class Line:
    """A line to show."""

    weight: Weight
    text: str


@dataclass(slots=True)
class Row:
    """One learner, as far as is known.

    Attributes:
        state: what it is doing.
        examples: of its last training; before it, what it declared.
        metrics: it reported last.
        train_s: from the beginning of its last round until its update was accepted, seconds.
        bytes_up: received from it so far.
        bytes_down: sent to it so far.
        staleness: of its last accepted update, in versions.
        ms_per_batch: of its last training that it reported, milliseconds; 0 where it told nothing.
        trouble: what last went wrong with it, in words.
    """

    state: State = State.WAITING
    examples: int = 0
    metrics: Metrics = field(default_factory=dict)
    train_s: float | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    staleness: int = 0
    ms_per_batch: float = 0.0
    trouble: str = ""


@dataclass(slots=True)
class OpenRound:
    """A round that has begun and not ended.

    Attributes:
        told_of_each: its learners are few enough for events of their own.
    """

    began_s: float
    told_of_each: bool


@dataclass(slots=True)
class Board:
    """The state of a run, updated by its events.

    Attributes:
        rounds_total: how many rounds there shall be; None where that is open.
        evaluate_every: as configured; tells whether a commit is followed by an evaluation.
        round: the last that began.
        rounds_ended: so far.
        version: the last committed.
        metrics: of the last round that was evaluated.
        epsilon: that differential privacy has spent; None where that is not accounted.
        note: what the run as a whole is doing, where that is not a round.
        learners: by id, in order of their coming.
    """

    rounds_total: int | None = None
    evaluate_every: int = 1
    round: Round = 0
    rounds_ended: int = 0
    version: Version = 0
    metrics: Metrics = field(default_factory=dict)
    epsilon: float | None = None
    note: str = "starting"
    learners: dict[LearnerId, Row] = field(default_factory=dict)
    _of_state: dict[State, dict[LearnerId, None]] = field(default_factory=lambda: {state: {} for state in State})
    _open: dict[Round, OpenRound] = field(default_factory=dict)

    def apply(self, event: Event) -> list[Line]:
        """Take in an event; the lines that it deserves."""
        take = getattr(self, f"_on_{event.kind}")
        line: Line | None = take(event.unix_time_s, event.body)
        return [] if line is None else [line]

    def of_state(self, state: State) -> Iterable[LearnerId]:
        """The learners that are at it, the one that came to it first before the others."""
        return self._of_state[state]

    def counts(self) -> dict[State, int]:
        """How many learners are at what, the most frequent first; states with none are left out."""
        counts = {state: len(learners) for state, learners in self._of_state.items() if learners}
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def _row(self, learner: LearnerId) -> Row:
        row = self.learners.get(learner)
        if row is None:
            row = self.learners[learner] = Row()
            self._of_state[row.state][learner] = None
        return row

    def _set(self, learner: LearnerId, state: State) -> Row:
        row = self._row(learner)
        del self._of_state[row.state][learner]
        row.state = state
        self._of_state[state][learner] = None
        return row

    def _move(self, states: Iterable[State], to: State) -> None:
        """Everybody who is at one of these is at that now; takes time for those alone."""
        for state in states:
            if state is not to:
                for learner in list(self._of_state[state]):
                    self._set(learner, to)

    def _of_rounds(self, round_: Round) -> str:
        return f"round {round_}" if self.rounds_total is None else f"round {round_}/{self.rounds_total}"

    def _on_waiting(self, _at_s: float, body: Any) -> Line:
        self.note = f"waiting: {body['why']}"
        return Line(Weight.DETAIL, self.note)

    def _on_learner_joined(self, _at_s: float, body: Any) -> Line:
        came = "is back" if body["learner"] in self.learners else "joined"
        self._set(body["learner"], State.WAITING).examples = body["num_train_examples"]
        data = f"{counted(body['num_train_examples'], 'training example')}, {counted(body['num_test_examples'], 'test example')}"
        return Line(Weight.DETAIL, f"learner {body['learner']} {came}  ({data})")

    def _on_learner_departed(self, _at_s: float, body: Any) -> Line:
        state = State(body["how"])
        row = self._set(body["learner"], state)
        why = f": {body['why']}" if body["why"] else ""
        if state in TROUBLED:
            row.trouble = f"{state}{why}"
        if state is State.LEFT:
            return Line(Weight.DETAIL, f"learner {body['learner']} left{why}")
        return Line(Weight.WARNING, f"learner {body['learner']} is {state}{why}")

    def _on_initialised(self, _at_s: float, body: Any) -> Line:
        self.note = "initialised"
        source = "the file" if body["source"] == "shipped" else f"learner {body['source']}"
        model = f"{counted(body['num_parameters'], 'parameter')}, {size(body['bytes'])}"
        return Line(Weight.DETAIL, f"version 0 is from {source}  ({model})")

    def _on_round_began(self, at_s: float, body: Any) -> None:
        self.note, self.round, self.version = "", body["round"], body["version"]  # a relay's come from elsewhere
        cohort, everybody = body["cohort"], not body["cohort"]  # who train across rounds, or are too many to be named
        self._open[body["round"]] = OpenRound(at_s, told_of_each=not body["learners"] or not everybody)
        self._move(HERE, State.TRAINING if everybody else State.WAITING)
        for learner in cohort:
            if self._row(learner).state not in GONE:
                self._set(learner, State.TRAINING)

    def _on_update_accepted(self, at_s: float, body: Any) -> None:
        row = self._set(body["learner"], State.UPLOADED)
        row.examples, row.metrics = body["num_examples"], body["metrics"] or row.metrics
        row.staleness = body["staleness"]
        if (open_round := self._open.get(body["round"])) is not None:
            row.train_s = at_s - open_round.began_s

    def _on_update_refused(self, _at_s: float, body: Any) -> Line:
        failed = body["reason"] == "learner_failed"
        self._row(body["learner"]).trouble = f"{body['reason']}: {body['why']}"
        if self._row(body["learner"]).state not in GONE:
            self._set(body["learner"], State.FAILED if failed else State.REFUSED)
        what = "failed" if failed else f"'s update was refused ({body['reason']})"
        separator = " " if failed else ""
        when = f"round {body['round']}: " if body["round"] else ""  # a task that nobody knows belongs to no round
        return Line(Weight.WARNING, f"{when}learner {body['learner']}{separator}{what}: {body['why']}")

    def _on_round_committed(self, _at_s: float, body: Any) -> None:
        self.version = body["version"]
        last = body["round"] == self.rounds_total
        evaluates = self.evaluate_every and (last or body["round"] % self.evaluate_every == 0)
        open_round = self._open.get(body["round"])
        if open_round is not None and not open_round.told_of_each:
            self._move([State.TRAINING], State.EVALUATING if evaluates else State.UPLOADED)
        elif evaluates:
            self._move([State.UPLOADED], State.EVALUATING)

    def _on_learner_evaluated(self, _at_s: float, body: Any) -> None:
        row = self._row(body["learner"])
        row.metrics = body["metrics"]
        if row.state is State.EVALUATING:  # it may be training again already
            self._set(body["learner"], State.EVALUATED)

    def _on_round_ended(self, _at_s: float, body: Any) -> Line:
        record = RoundRecord.from_map(body["record"])
        self.rounds_ended += 1
        self.metrics = record.metrics or self.metrics
        for learner, part in record.learners.items():
            row = self._row(learner)
            row.bytes_up, row.bytes_down = row.bytes_up + part.bytes_up, row.bytes_down + part.bytes_down
            row.ms_per_batch = part.ms_per_batch or row.ms_per_batch
        open_round, totals = self._open.pop(record.round, None), record.totals
        if open_round is not None and not open_round.told_of_each:
            self._move([State.EVALUATING], State.EVALUATED)
        parts = [f"{self._of_rounds(record.round)} version {record.version}", metrics(record.metrics)]
        parts += [duration(record.duration_s), f"{totals.accepted:,}/{totals.learners:,} learners"]
        if record.epsilon is not None:
            self.epsilon = record.epsilon
            parts.append(f"epsilon {record.epsilon:.4g}")
        return Line(Weight.ROUND, "  ".join(part for part in parts if part))

    def _on_round_abandoned(self, _at_s: float, body: Any) -> Line:
        self._open.pop(body["round"], None)
        return Line(Weight.WARNING, f"round {body['round']} was abandoned: {body['why']}")

    def _on_actor_failed(self, _at_s: float, body: Any) -> Line:
        return Line(Weight.WARNING, f"{body['actor']} failed: {body['why']}")

    def _on_stopping(self, _at_s: float, body: Any) -> Line:
        self.note = f"stopping: {body['why']}"
        return Line(Weight.DETAIL, self.note)

    def _on_resumed(self, _at_s: float, body: Any) -> Line:
        self.rounds_ended = body["round"] - 1
        reached = "no version yet" if body["version"] is None else f"version {body['version']}"
        return Line(Weight.ROUND, f"resumed  {reached}, goes on with {self._of_rounds(body['round'])}")

    def _on_finished(self, _at_s: float, body: Any) -> Line:
        self.note = f"{'failed' if body['failed'] else 'finished'}: {body['stop_reason']}"
        self._move([State.TRAINING, State.EVALUATING], State.WAITING)
        return Line(Weight.FAILURE if body["failed"] else Weight.DETAIL, self.note)


assert all(hasattr(Board, f"_on_{kind}") for kind in EventKind)
