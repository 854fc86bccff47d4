"""A run's figures as curves: a name, a value, a round and a time; pure.

metrics/NAME       of the round's result, the mean over the learners that evaluated it, weighted by their examples
train/NAME         as the learners report it of their training, the mean over the updates that count, weighted likewise
seconds/PHASE      dispatch, train, combine and evaluate; seconds/round is from a round's beginning until its commit
bytes/up, down     received from learners and sent to them
updates/accepted, refused, examples
refused/REASON     updates and tasks that do not count, where there were any
privacy/epsilon    that differential privacy has spent, where that is accounted
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from fedactors.record import Event, EventKind, LearnerRecord, Phases, RoundRecord
from fedactors.task import METRICS_MAX


@dataclass(frozen=True, slots=True)
class Scalar:
    """A point of a curve.

    Attributes:
        name: KIND/NAME; the second part of a metric is a learner's word.
        value: NaN and the infinities are values: a diverged loss is news.
        step: the round.
        unix_time_s: when the round had ended, seconds since 1970.
    """

    name: str
    value: float
    step: int
    unix_time_s: float


def scalars(event: Event) -> list[Scalar]:
    """What an event adds to the curves; only a round's end adds anything."""
    if event.kind is not EventKind.ROUND_ENDED:
        return []
    record = RoundRecord.from_map(event.body["record"])
    figures = _figures(record)
    return [Scalar(name, float(value), record.round, event.unix_time_s) for name, value in figures.items()]


def _figures(record: RoundRecord) -> dict[str, float]:
    totals = record.totals
    figures = {f"metrics/{name}": value for name, value in record.metrics.items()}
    figures |= {f"train/{name}": value for name, value in train_metrics(record.learners).items()}
    for phase in fields(Phases):
        figures[f"seconds/{phase.name.removesuffix('_s')}"] = getattr(record.phases, phase.name)
    figures |= {"seconds/round": record.duration_s, "bytes/up": totals.bytes_up, "bytes/down": totals.bytes_down}
    figures |= {"updates/accepted": totals.accepted, "updates/refused": sum(totals.refused.values())}
    figures["updates/examples"] = totals.examples
    figures |= {f"refused/{reason}": number for reason, number in totals.refused.items()}
    return figures if record.epsilon is None else figures | {"privacy/epsilon": record.epsilon}


def train_metrics(learners: Mapping[str, LearnerRecord]) -> dict[str, float]:
    """Each metric's mean over the updates that count, weighted by their examples; of METRICS_MAX metrics at most.

    Updates of no examples count only where none has any. Learners are taken in the order of their ids, so that the same
    records give the same bits.
    """
    counting = [part for _, part in sorted(learners.items()) if part.contributed]
    weighted = any(part.examples for part in counting)
    sums: dict[str, tuple[float, float]] = {}
    for part in counting:
        share = part.examples if weighted else 1
        for name, value in part.train_metrics.items() if share else ():
            if name in sums or len(sums) < METRICS_MAX:
                total, shares = sums.get(name, (0.0, 0.0))
                sums[name] = (total + share * value, shares + share)
    return {name: total / shares for name, (total, shares) in sums.items()}
