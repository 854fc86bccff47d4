"""What a run leaves behind: events as they happen, a record of each round, and the results of the whole.

An `Event` is the one form in which news leaves the controller, for displays, logs, results and operators alike. Its kinds and
the keys of its body (every number is a plain int or float, every id a string):

    kind                body
    waiting             why
    learner_joined      learner, num_train_examples, num_test_examples, tags
    learner_departed    learner, how ("left", "lost" or "displaced"), why
    initialised         source (a learner's id or "shipped"), num_parameters, bytes
    round_began         round, version, cohort, learners (how many are asked; where learners train across rounds, 0)
    update_accepted     round, learner, staleness, num_examples, metrics
    update_refused      round, learner, reason (a `Refusal`), why
    round_committed     round, version, updates (how many it was combined from)
    learner_evaluated   round, learner, num_examples, metrics
    round_ended         record (a `RoundRecord` as a map)
    round_abandoned     round, why
    actor_failed        actor, why
    stopping            why
    resumed             lives, round, version: a new process goes on with the run; what `finished` has said before is void
    finished            stop_reason, version, failed (bool)

A round of more learners than `limits.detail_learners_max` is told of as a whole: `cohort` is empty, nothing is said of an update
or an evaluation by itself, and the record holds `totals` alone.
"""

from __future__ import annotations

import enum
from bisect import insort
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fedactors.model import LearnerId, Version
from fedactors.task import Metrics, Round


class EventKind(enum.StrEnum):
    """What an event tells of; the keys of its body stand at the top of this module."""

    WAITING = "waiting"
    LEARNER_JOINED = "learner_joined"
    LEARNER_DEPARTED = "learner_departed"
    INITIALISED = "initialised"
    ROUND_BEGAN = "round_began"
    UPDATE_ACCEPTED = "update_accepted"
    UPDATE_REFUSED = "update_refused"
    ROUND_COMMITTED = "round_committed"
    LEARNER_EVALUATED = "learner_evaluated"
    ROUND_ENDED = "round_ended"
    ROUND_ABANDONED = "round_abandoned"
    ACTOR_FAILED = "actor_failed"
    STOPPING = "stopping"
    RESUMED = "resumed"
    FINISHED = "finished"


def _as_map(record: Any) -> dict[str, Any]:
    """A slotted dataclass's fields by name, its maps copied: `asdict` of one level, at a tenth of its price."""
    fields = {name: getattr(record, name) for name in record.__slots__}
    return {name: dict(value) if isinstance(value, dict) else value for name, value in fields.items()}


@dataclass(frozen=True, slots=True)
class Event:
    """One piece of news.

    Attributes:
        number: from 0, without gaps.
        unix_time_s: when it happened, seconds since 1970, of the controller's clock.
        kind: what it tells of.
        body: its keys by kind, see the top of this module.
    """

    number: int
    unix_time_s: float
    kind: EventKind
    body: Mapping[str, Any]


@dataclass(slots=True)
class LearnerRecord:
    """One learner's part in one round; zeros and empty maps for what did not happen.

    Attributes:
        examples: trained on.
        batches: trained on.
        epochs: passes over the local data.
        ms_per_batch: milliseconds.
        staleness: of its update, in versions.
        bytes_up: received from it for this round, weights and reports.
        bytes_down: sent to it for this round, weights and tasks.
        train_metrics: as it reported them.
        eval_metrics: as it reported them, of the round's result.
        refused: why its update did not count; None if it did, or if none came.
    """

    examples: int = 0
    batches: int = 0
    epochs: float = 0.0
    ms_per_batch: float = 0.0
    staleness: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    train_metrics: Metrics = field(default_factory=dict)
    eval_metrics: Metrics = field(default_factory=dict)
    refused: str | None = None

    @property
    def contributed(self) -> bool:
        """Whether an update of it came, and counts."""
        return self.refused is None and (self.bytes_up > 0 or self.epochs > 0 or self.examples > 0)


@dataclass(frozen=True, slots=True)
class Phases:
    """Where a round's time went, in seconds.

    Attributes:
        dispatch_s: from its beginning until the last cohort member has the task and its weights.
        train_s: from then until the last update that was combined is here.
        combine_s: from then until the new version is kept.
        evaluate_s: from then until the last evaluation is here; may overlap the next round.
    """

    dispatch_s: float
    train_s: float
    combine_s: float
    evaluate_s: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The least, the median and the greatest of some numbers."""

    least: float
    median: float
    greatest: float


SPREADS = ("update_s", "ms_per_batch")
"""The totals that are spreads."""


@dataclass(frozen=True, slots=True)
class Totals:
    """A round's learners taken together, however many they are.

    Attributes:
        learners: that were asked to train, and whoever else gave an update that counts.
        accepted: updates that count.
        refused: updates and tasks that do not, by their `Refusal`.
        evaluated: learners that evaluated the result.
        examples_evaluated: on how many examples they did, taken together.
        examples: that the accepted updates were trained on.
        bytes_up: received from the learners for this round.
        bytes_down: sent to them for this round.
        update_s: from the round's beginning until an accepted update was here, seconds; None where there was none.
        ms_per_batch: as the accepted updates report it, milliseconds; None where none does.
    """

    learners: int = 0
    accepted: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    evaluated: int = 0
    examples_evaluated: int = 0
    examples: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    update_s: Spread | None = None
    ms_per_batch: Spread | None = None

    def to_map(self) -> dict[str, Any]:
        """Plain maps and numbers."""
        spreads = {name: None if (spread := getattr(self, name)) is None else _as_map(spread) for name in SPREADS}
        return _as_map(self) | spreads

    @classmethod
    def from_map(cls, totals: Mapping[str, Any]) -> Totals:
        """The inverse of `to_map`."""
        spreads = {name: None if (spread := totals.get(name)) is None else Spread(**spread) for name in SPREADS}
        return cls(**{**totals, **spreads})


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One committed round.

    Attributes:
        round: from 1.
        version: of the global model that it produced.
        started_at: ISO 8601 with microseconds, UTC.
        duration_s: from its beginning until its commit.
        phases: where the time went.
        cohort: who was asked to train, and whoever else gave an update that counts; empty where they are too many.
        learners: each cohort member's part; empty where they are too many.
        metrics: of the round's result: each metric's mean over the evaluating learners, weighted by their examples.
        totals: of all learners of the round, whether `cohort` names them or not.
        epsilon: of differential privacy, spent by this round and all before it; None where nothing is accounted by rounds.
    """

    round: Round
    version: Version
    started_at: str
    duration_s: float
    phases: Phases
    cohort: tuple[LearnerId, ...]
    learners: Mapping[LearnerId, LearnerRecord]
    metrics: Metrics
    totals: Totals = field(default_factory=Totals)
    epsilon: float | None = None

    def to_map(self) -> dict[str, Any]:
        """Plain maps, lists and numbers, for JSON and msgpack."""
        parts = {learner: _as_map(part) for learner, part in self.learners.items()}
        nested = {"phases": _as_map(self.phases), "learners": parts, "totals": self.totals.to_map()}
        return _as_map(self) | nested | {"cohort": list(self.cohort)}

    @classmethod
    def from_map(cls, record: Mapping[str, Any]) -> RoundRecord:
        """The inverse of `to_map`."""
        return cls(
            **{
                **record,
                "phases": Phases(**record["phases"]),
                "cohort": tuple(record["cohort"]),
                "learners": {learner: LearnerRecord(**part) for learner, part in record["learners"].items()},
                "totals": Totals.from_map(record.get("totals", {})),
            }
        )


@dataclass(frozen=True, slots=True)
class FinalModel:
    """The last version of the global model.

    Attributes:
        version: its number; 0 if no round was committed.
        metrics: of the last evaluated round.
        model: the file it was saved to, relative to the run directory; None where nothing was saved.
        sha256: of its buffer, hexadecimal.
    """

    version: Version
    metrics: Metrics
    model: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run: what `results.json` holds.

    Attributes:
        name: the federation's.
        seed: the run's.
        stop_reason: why it ended, in words.
        failed: it ended because it could not go on.
        rounds: every committed round, in order.
        final: the last version; None if there never was a model.
    """

    name: str
    seed: int
    stop_reason: str
    failed: bool
    rounds: tuple[RoundRecord, ...]
    final: FinalModel | None

    def to_map(self) -> dict[str, Any]:
        """Plain maps, lists and numbers, for JSON."""
        return {
            "name": self.name,
            "seed": self.seed,
            "stop_reason": self.stop_reason,
            "failed": self.failed,
            "rounds": [record.to_map() for record in self.rounds],
            "final": None if self.final is None else asdict(self.final),
        }


class History:
    """Gathers what the events of a run tell, one at a time and in order, into its results.

    Attributes:
        rounds: in order of their numbers, although a round may end before one that was committed earlier.
        metrics: of the last round that was evaluated.
        stop_reason, failed: see `Results`.
        finished: the run is over.
    """

    def __init__(self) -> None:
        self.rounds: list[RoundRecord] = []
        self.metrics: Metrics = {}
        self._evaluated: Round = 0
        self.stop_reason = ""
        self.failed = False
        self.finished = False

    def take(self, event: Event) -> None:
        """One more event."""
        if event.kind is EventKind.ROUND_ENDED:
            record = RoundRecord.from_map(event.body["record"])
            insort(self.rounds, record, key=lambda known: known.round)
            if record.metrics and record.round >= self._evaluated:
                self.metrics, self._evaluated = record.metrics, record.round
        elif event.kind is EventKind.FINISHED:
            self.finished = True
            self.stop_reason, self.failed = event.body["stop_reason"], event.body["failed"]
        elif event.kind is EventKind.RESUMED:
            self.finished, self.stop_reason, self.failed = False, "", False

    def results(self, name: str, seed: int, final: FinalModel | None) -> Results:
        """The whole run, once it is finished."""
        return Results(name, seed, self.stop_reason, self.failed, tuple(self.rounds), final)
