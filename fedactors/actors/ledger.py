"""The scheduler's books: from what happens in a round to its `RoundRecord`. Pure; times are handed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from fedactors.model import LearnerId, Version
from fedactors.record import LearnerRecord, Phases, RoundRecord
from fedactors.task import EvaluationReport, Round, TrainReport, averaged


@dataclass(slots=True)
class OpenRound:
    """What is known of a round that is not over; times in seconds of the clock's stopwatch."""

    round: Round
    cohort: dict[LearnerId, None]
    began_unix_s: float
    began_s: float
    dispatched_s: float = 0.0
    updated_s: float = 0.0
    committed_s: float = 0.0
    evaluated_s: float = 0.0
    version: Version = 0
    learners: dict[LearnerId, LearnerRecord] = field(default_factory=dict)
    evaluations: dict[LearnerId, EvaluationReport] = field(default_factory=dict)

    def record(self) -> RoundRecord:
        """The round as it stands in the results."""
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
            cohort=tuple(self.cohort),
            learners=self.learners,
            metrics=averaged(self.evaluations),
        )


class Ledger:
    """The open rounds: the one that trains, and those before it of which an evaluation is still out."""

    def __init__(self) -> None:
        self._rounds: dict[Round, OpenRound] = {}

    def begin(self, round_: Round, cohort: tuple[LearnerId, ...], now_s: float, unix_s: float) -> None:
        """A round begins; one of the same number that was abandoned is forgotten."""
        learners = {learner: LearnerRecord() for learner in cohort}
        self._rounds[round_] = OpenRound(round_, dict.fromkeys(cohort), unix_s, now_s, learners=learners)

    def dispatched(self, round_: Round, now_s: float) -> None:
        """One more member of the cohort has its task and weights."""
        if (entry := self._rounds.get(round_)) is not None:
            entry.dispatched_s = now_s

    def reported(self, round_: Round, learner: LearnerId, report: TrainReport, bytes_up: int, bytes_down: int) -> None:
        """A learner's update came in; whether it counts is told apart. Where it gave several, the last is told of."""
        part = self._part(round_, learner)
        part.examples, part.batches, part.epochs = report.num_examples, report.num_batches, report.epochs
        part.ms_per_batch, part.train_metrics = report.ms_per_batch, dict(report.metrics)
        part.bytes_up += bytes_up
        part.bytes_down += bytes_down

    def accepted(self, round_: Round, learner: LearnerId, staleness: int, now_s: float) -> None:
        """A learner's update counts, although the learner may not have been asked in this round."""
        self._part(round_, learner).staleness = staleness
        if (entry := self._rounds.get(round_)) is not None:
            entry.updated_s = now_s
            entry.cohort.setdefault(learner)

    def refused(self, round_: Round, learner: LearnerId, why: str) -> None:
        """A learner's update does not count."""
        self._part(round_, learner).refused = why

    def committed(self, round_: Round, version: Version, now_s: float) -> None:
        """The round produced a version."""
        entry = self._rounds[round_]
        entry.version, entry.committed_s = version, now_s

    def evaluated(self, round_: Round, learner: LearnerId, report: EvaluationReport, now_s: float) -> None:
        """A learner evaluated the round's result."""
        if (entry := self._rounds.get(round_)) is not None:
            entry.evaluations[learner] = report
            entry.evaluated_s = now_s
            self._part(round_, learner).eval_metrics = dict(report.metrics)

    def end(self, round_: Round) -> RoundRecord:
        """Close a committed round."""
        return self._rounds.pop(round_).record()

    def abandon(self, round_: Round) -> None:
        """Forget a round that produced nothing."""
        self._rounds.pop(round_, None)

    def _part(self, round_: Round, learner: LearnerId) -> LearnerRecord:
        entry = self._rounds.get(round_)
        return LearnerRecord() if entry is None else entry.learners.setdefault(learner, LearnerRecord())
