"""An update's factor: its share in the combination before normalisation, from what its learner reports."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

from fedactors.errors import ConfigError, ModelError
from fedactors.task import TrainReport

FACTOR_MAX = 1e15
"""The largest factor; what is beyond is a learner's mistake, and would swallow every other update."""

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
        by: a `Share`, or "metric:NAME" for a metric that learners report with their training, in [0, FACTOR_MAX].
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
    if not 0 <= value <= FACTOR_MAX:
        raise ModelError(
            f"updates are weighted by metric {name!r}, which is {value}; a factor is a number from 0 to {FACTOR_MAX:g}"
        )
    return float(value)


Weighting.EXAMPLES = Weighting(Share.EXAMPLES)
Weighting.BATCHES = Weighting(Share.BATCHES)
Weighting.PARTICIPANTS = Weighting(Share.PARTICIPANTS)
