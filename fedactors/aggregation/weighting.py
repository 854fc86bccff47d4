"""An update's factor: its share in the combination before normalisation, from what its learner reports."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

from fedactors.errors import ConfigError, ModelError
from fedactors.task import TrainReport

FACTOR_MIN, FACTOR_MAX = 1e-12, 1e15
"""Of a metric that is a factor, where it is not 0: beyond is a learner's mistake, and float32 sums would drown or overflow."""

METRIC_PREFIX = "metric:"


class Share(enum.StrEnum):
    """What every report carries."""

    EXAMPLES = "examples"
    """n_i, the examples trained on."""
    BATCHES = "batches"
    """The batches trained on; learners that do not count them report 0."""
    PARTICIPANTS = "participants"
    """1 for everybody: the plain mean."""


@dataclass(frozen=True, slots=True)
class Weighting:
    """What an update's factor is proportional to.

    Attributes:
        by: a `Share`, or "metric:NAME" for a metric that learners report with their training: 0, or from
            FACTOR_MIN to FACTOR_MAX.
    """

    by: str = Share.EXAMPLES
    EXAMPLES: ClassVar[Weighting]
    BATCHES: ClassVar[Weighting]
    PARTICIPANTS: ClassVar[Weighting]

    def __post_init__(self) -> None:
        if self.by in list(Share) or (self.by.startswith(METRIC_PREFIX) and self.by != METRIC_PREFIX):
            return
        near = get_close_matches(self.by, list(Share), n=1)
        remedy = f"did you mean {str(near[0])!r}?" if near else f"known are {', '.join(Share)} and {METRIC_PREFIX}NAME"
        raise ConfigError(f"no weighting named {self.by!r}; {remedy}")

    def factor(self, report: TrainReport) -> float:
        """The factor of an update, >= 0.

        Raises:
            ModelError: the metric is not in the report, or cannot be a factor.
        """
        match self.by:
            case Share.EXAMPLES:
                return float(report.num_examples)
            case Share.BATCHES:
                return float(report.num_batches)
            case Share.PARTICIPANTS:
                return 1.0
            case metric:
                return _metric_factor(report, metric.removeprefix(METRIC_PREFIX))


def _metric_factor(report: TrainReport, name: str) -> float:
    value = report.metrics.get(name)
    if value is None:
        reported = ", ".join(sorted(report.metrics)) or "none"
        raise ModelError(
            f"updates are weighted by metric {name!r}, which the learner did not report; its metrics: {reported:.200}"
        )
    if value != 0 and not FACTOR_MIN <= value <= FACTOR_MAX:
        allowed = f"0, or from {FACTOR_MIN:g} to {FACTOR_MAX:g}"
        raise ModelError(f"updates are weighted by metric {name!r}, which is {value}; a factor is {allowed}")
    return float(value)


Weighting.EXAMPLES = Weighting(Share.EXAMPLES)
Weighting.BATCHES = Weighting(Share.BATCHES)
Weighting.PARTICIPANTS = Weighting(Share.PARTICIPANTS)
