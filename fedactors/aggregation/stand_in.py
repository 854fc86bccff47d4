"""One report that stands for many: what a relay says of the mean of its children's updates. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fedactors.aggregation.weighting import METRIC_PREFIX, Share, Weighting
from fedactors.task import METRICS_MAX, Metrics, TrainReport


@dataclass(frozen=True, slots=True)
class Weighed:
    """A report, and the factor that its update had in the mean."""

    factor: float
    report: TrainReport


def stand_in(parts: Sequence[Weighed], weighting: Weighting) -> TrainReport:
    """The report of one learner that has done what all of these did; the same bits in whatever order they come.

    Examples and batches are sums, and so is a metric that updates are weighted by: whoever weighs this report gives the mean the
    sum of its parts' factors. Times are those of the slowest, for whom a semi-synchronous round waits. Epochs and other metrics
    are means, weighted by the factors, over those that report them; of more than METRICS_MAX metrics, those that most report.

    Args:
        parts: at least one, of factors that do not sum to zero.
        weighting: by which the factors came about.
    """
    reports = [part.report for part in parts]
    return TrainReport(
        num_examples=sum(report.num_examples for report in reports),
        num_batches=sum(report.num_batches for report in reports),
        epochs=_mean([(part.factor, part.report.epochs) for part in parts]),
        ms_per_batch=max(report.ms_per_batch for report in reports),
        ms_per_epoch=max(report.ms_per_epoch for report in reports),
        metrics=_metrics(parts, weighting),
    )


def _metrics(parts: Sequence[Weighed], weighting: Weighting) -> Metrics:
    counts = Counter(name for part in parts for name in part.report.metrics)
    told = sorted(counts, key=lambda name: (-counts[name], name))[:METRICS_MAX]
    found = {name: _mean([(p.factor, p.report.metrics[name]) for p in parts if name in p.report.metrics]) for name in told}
    if weighting.by not in list(Share):
        found[weighting.by.removeprefix(METRIC_PREFIX)] = math.fsum(part.factor for part in parts)
    return found


def _mean(values: Sequence[tuple[float, float]]) -> float:
    """Weighted; of values that nobody weighs, plain. NaN and infinities are told as they are."""
    total = math.fsum(factor for factor, _ in values)
    if not total:
        return _mean([(1.0, value) for _, value in values])
    finite = all(math.isfinite(value) for _, value in values)
    products = [factor * value for factor, value in values if factor]
    return math.fsum(products) / total if finite else sum(products) / total
