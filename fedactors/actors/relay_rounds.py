"""What is told of a relay's rounds: its parent asks for their two halves one by one, and not always for both. Pure."""

from __future__ import annotations

from dataclasses import replace

from fedactors.record import LearnerRecord, RoundRecord


class RelayRounds:
    """Keeps what is known of a training until it is evaluated, or the next one begins, so that a round is told of once."""

    def __init__(self) -> None:
        self._trained: RoundRecord | None = None

    def trained(self, record: RoundRecord) -> None:
        """A training is over."""
        self._trained = record

    def evaluated(self, record: RoundRecord) -> RoundRecord:
        """An evaluation is over: the whole round; the evaluation alone, where this relay did not train in that round."""
        trained = self._trained
        if trained is None or trained.round != record.round:
            return record
        self._trained = None
        return _whole(trained, record)

    def without_evaluation(self) -> RoundRecord | None:
        """A round that nobody has had evaluated, and nobody will; None if there is none."""
        trained, self._trained = self._trained, None
        return trained


def _whole(trained: RoundRecord, evaluated: RoundRecord) -> RoundRecord:
    of, totals = evaluated.totals, trained.totals
    learners = {learner: replace(part) for learner, part in trained.learners.items()}
    for learner, part in evaluated.learners.items():
        learners.setdefault(learner, LearnerRecord()).eval_metrics = part.eval_metrics
    return replace(
        trained,
        version=evaluated.version,
        metrics=evaluated.metrics,
        phases=replace(trained.phases, evaluate_s=evaluated.phases.evaluate_s),
        learners=learners,
        totals=replace(totals, evaluated=of.evaluated, examples_evaluated=of.examples_evaluated),
    )
