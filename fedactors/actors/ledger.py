"""The scheduler's books: from what happens in a round to its `RoundRecord`. Pure; times are handed in."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from fedactors.model import LearnerId, Version
from fedactors.record import LearnerRecord, Phases, RoundRecord, Spread, Totals
from fedactors.task import EvaluationReport, Refusal, Round, TrainReport, averaged

DETAIL_LEARNERS_MAX = 1_000
TOLD_BYTES_MAX = 6 * 1024**2
"""Of what is told of a round's learners one by one: a record has to fit into a frame, whatever the names of their metrics."""


@dataclass(slots=True)
class Sums:
    """What a round's updates add up to; eight bytes for each of them and time."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    update_s: array[float] = field(default_factory=lambda: array("d"))
    ms_per_batch: array[float] = field(default_factory=lambda: array("d"))

    def totals(self, learners: int, evaluations: Mapping[LearnerId, EvaluationReport]) -> Totals:
        """As they stand in the results."""
        return Totals(
            learners=learners,
            accepted=self.accepted,
            refused=dict(self.refused),
            evaluated=len(evaluations),
            examples_evaluated=sum(report.num_examples for report in evaluations.values()),
            examples=self.examples,
            bytes_up=self.bytes_up,
            bytes_down=self.bytes_down,
            update_s=_spread(self.update_s),
            ms_per_batch=_spread(self.ms_per_batch),
        )


def _spread(values: Sequence[float]) -> Spread | None:
    return Spread(min(values), median(values), max(values)) if values else None


@dataclass(slots=True)
class OpenRound:
    """What is known of a round that is not over; times in seconds of the clock's stopwatch.

    Attributes:
        learners: each one's part; None: they are too many.
        evaluators: who were asked to evaluate.
    """

    round: Round
    cohort: dict[LearnerId, None]
    began_unix_s: float
    began_s: float
    dispatched_s: float = 0.0
    updated_s: float = 0.0
    committed_s: float = 0.0
    evaluated_s: float = 0.0
    version: Version = 0
    learners: dict[LearnerId, LearnerRecord] | None = field(default_factory=dict)
    evaluators: int = 0
    evaluations: dict[LearnerId, EvaluationReport] = field(default_factory=dict)
    sums: Sums = field(default_factory=Sums)

    def record(self) -> RoundRecord:
        """The round as it stands in the results; of learners that have said too much for one event, as a whole."""
        if self.learners is not None and sum(map(_told_bytes, self.learners, self.learners.values())) > TOLD_BYTES_MAX:
            self.learners = None
        dispatched_s = max(self.dispatched_s, self.began_s)
        updated_s = max(self.updated_s, dispatched_s)
        phases = Phases(
            dispatch_s=dispatched_s - self.began_s,
            train_s=updated_s - dispatched_s,
            combine_s=self.committed_s - updated_s,
            evaluate_s=max(self.evaluated_s - self.committed_s, 0.0),
        )
        return RoundRecord(
            round=self.round,
            version=self.version,
            started_at=datetime.fromtimestamp(self.began_unix_s, UTC).isoformat(timespec="microseconds"),
            duration_s=self.committed_s - self.began_s,
            phases=phases,
            cohort=() if self.learners is None else tuple(self.cohort),
            learners=self.learners or {},
            metrics=averaged(self.evaluations),
            totals=self.sums.totals(len(self.cohort), self.evaluations),
        )

    def keep_to(self, detail_learners_max: int) -> None:
        """Keep sums alone once there are more learners than that."""
        if self.learners is not None and max(len(self.cohort), len(self.learners), self.evaluators) > detail_learners_max:
            self.learners = None

    def part(self, learner: LearnerId) -> LearnerRecord:
        """A learner's part, to write to; one that is not kept where they are too many."""
        if self.learners is None:
            return LearnerRecord()
        return self.learners.setdefault(learner, LearnerRecord())


def _told_bytes(learner: LearnerId, part: LearnerRecord) -> int:
    """What a learner's part takes in an event, at most."""
    names = [learner, learner, part.refused or "", *part.train_metrics, *part.eval_metrics]
    return 256 + sum(16 + 4 * len(name) for name in names)


class Ledger:
    """The open rounds: the one that trains, and those before it of which an evaluation is still out.

    Args:
        detail_learners_max: a round of more learners is recorded as a whole.
    """

    def __init__(self, detail_learners_max: int = DETAIL_LEARNERS_MAX) -> None:
        self._detail_learners_max = detail_learners_max
        self._rounds: dict[Round, OpenRound] = {}

    def tells_of_each(self, round_: Round) -> bool:
        """Whether a round is small enough to tell of each of its learners; one that is not open is."""
        entry = self._rounds.get(round_)
        return entry is None or entry.learners is not None

    def begin(self, round_: Round, cohort: tuple[LearnerId, ...], now_s: float, unix_s: float) -> None:
        """A round begins; one of the same number that was abandoned is forgotten."""
        entry = self._rounds[round_] = OpenRound(round_, dict.fromkeys(cohort), unix_s, now_s)
        entry.keep_to(self._detail_learners_max)
        if entry.learners is not None:
            entry.learners.update((learner, LearnerRecord()) for learner in cohort)

    def dispatched(self, round_: Round, now_s: float) -> None:
        """One more member of the cohort has its task and weights."""
        if (entry := self._rounds.get(round_)) is not None:
            entry.dispatched_s = now_s

    def reported(self, round_: Round, learner: LearnerId, report: TrainReport, bytes_up: int, bytes_down: int) -> None:
        """A learner's update came in; whether it counts is told apart. Where it gave several, the last is told of."""
        if (entry := self._rounds.get(round_)) is None:
            return
        entry.sums.bytes_up += bytes_up
        entry.sums.bytes_down += bytes_down
        if entry.learners is None:
            return
        part = entry.part(learner)
        part.examples, part.batches, part.epochs = report.num_examples, report.num_batches, report.epochs
        part.ms_per_batch, part.train_metrics = report.ms_per_batch, dict(report.metrics)
        part.bytes_up += bytes_up
        part.bytes_down += bytes_down

    def accepted(self, round_: Round, learner: LearnerId, report: TrainReport, staleness: int, now_s: float) -> None:
        """A learner's update counts, although the learner may not have been asked in this round."""
        if (entry := self._rounds.get(round_)) is None:
            return
        entry.updated_s = now_s
        entry.cohort.setdefault(learner)
        sums = entry.sums
        sums.accepted += 1
        sums.examples += report.num_examples
        sums.update_s.append(now_s - entry.began_s)
        if report.ms_per_batch:
            sums.ms_per_batch.append(report.ms_per_batch)
        if entry.learners is not None:
            entry.part(learner).staleness = staleness
            entry.keep_to(self._detail_learners_max)

    def refused(self, round_: Round, learner: LearnerId, reason: Refusal, why: str) -> None:
        """A learner's update does not count."""
        if (entry := self._rounds.get(round_)) is not None:
            entry.sums.refused[str(reason)] += 1
            entry.part(learner).refused = f"{reason}: {why}"
            entry.keep_to(self._detail_learners_max)

    def committed(self, round_: Round, version: Version, now_s: float) -> int:
        """The round produced a version; of how many updates."""
        entry = self._rounds[round_]
        entry.version, entry.committed_s = version, now_s
        return entry.sums.accepted

    def evaluating(self, round_: Round) -> None:
        """One more learner is asked to evaluate the round's result."""
        if (entry := self._rounds.get(round_)) is not None:
            entry.evaluators += 1
            entry.keep_to(self._detail_learners_max)

    def evaluated(self, round_: Round, learner: LearnerId, report: EvaluationReport, now_s: float) -> None:
        """A learner evaluated the round's result."""
        if (entry := self._rounds.get(round_)) is not None:
            entry.evaluations[learner] = report
            entry.evaluated_s = now_s
            if entry.learners is not None:
                entry.part(learner).eval_metrics = dict(report.metrics)

    def end(self, round_: Round) -> RoundRecord:
        """Close a committed round."""
        return self._rounds.pop(round_).record()

    def abandon(self, round_: Round) -> None:
        """Forget a round that produced nothing."""
        self._rounds.pop(round_, None)
