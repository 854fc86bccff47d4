"""What a learner is asked to do, and what it reports: everything about a task but the tensors."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fedactors.errors import LearnerFailed
from fedactors.model import LearnerId, Version, Weights

TaskId: TypeAlias = str
Round: TypeAlias = int
Metrics: TypeAlias = Mapping[str, float]

METRICS_MAX = 256
"""Metrics in one report or of one round, and tags of one learner."""
METRIC_CHARS_MAX = 128
"""Of a metric's name."""
NUMBER_MAX = 10**12
"""No count of examples or batches, no number of epochs or milliseconds is greater: a million learners' sum is still exact."""


class TaskKind(enum.StrEnum):
    """What a task asks for."""

    INITIALISE = "initialise"
    """Give the weights you start from: they become version 0."""
    TRAIN = "train"
    EVALUATE = "evaluate"


TaskKey: TypeAlias = tuple[TaskKind, LearnerId, Round, Version]
"""What a task is known by when it is given again."""


class Refusal(enum.StrEnum):
    """Why an answer to a task was not accepted."""

    UNKNOWN_TASK = "unknown_task"
    """No such task is open: it was never given, is answered already (a replay), or was cancelled."""
    NOT_OWNER = "not_owner"
    """The task was given to another learner."""
    LATE = "late"
    """Its round is over."""
    STALE = "stale"
    """The global model has moved on by more versions than the protocol's `max_staleness`."""
    LAYOUT = "layout"
    """Names, shapes or dtypes differ from the global model's."""
    FORM = "form"
    """What was packed cannot be unpacked."""
    NOT_FINITE = "not_finite"
    """A weight is NaN or infinite."""
    BAD_REPORT = "bad_report"
    """A count is negative, a number is not finite, or there are too many metrics."""
    MASKING = "masking"
    """Its learner takes no part in the round's masked sum: it gave no keys or shares in time, or too few others did."""
    NO_ROOM = "no_room"
    """The controller's disk, where updates to a model in shards wait, is full."""
    LEARNER_FAILED = "learner_failed"
    """The learner's own code raised."""


@dataclass(frozen=True, slots=True)
class TrainParams:
    """How a learner shall train this time; given to `Learner.train`.

    Attributes:
        round: the round of this task, from 1.
        version: the global model's version that training starts from (the base).
        seed: differs by run, round and learner; the same when a run is repeated with its seed.
        epochs: passes over the local data; may be fractional.
        steps: batches to train on; where it is given it takes the place of `epochs`.
        batch_size: examples in a batch; None: the learner's own choice.
        learning_rate: None: the learner's own choice.
        proximal_mu: FedProx's mu >= 0, of the term mu/2 |w - base|^2 in the local objective; 0: there is none.
        options: every other key of the configuration's [train] table.
        correction: what a learner adds to the gradients of its steps, by tensor, with the rule scaffold; None with any other. It
            is made on the learner's side and does not travel.
    """

    round: Round
    version: Version
    seed: int
    epochs: float = 1.0
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    proximal_mu: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    correction: Weights | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class EvaluateParams:
    """How a learner shall evaluate this time; given to `Learner.evaluate`.

    Attributes:
        round: the round whose result is evaluated, from 1.
        version: the global model's version.
        options: every key of the configuration's [evaluate] table that fedactors itself does not know.
    """

    round: Round
    version: Version
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a learner says of its training, beside the weights.

    Attributes:
        num_examples: examples trained on, >= 0.
        num_batches: batches trained on, >= 0; 0 where the learner does not count them.
        epochs: passes over the local data, >= 0, may be fractional.
        ms_per_batch: milliseconds; 0 where batches are not counted.
        ms_per_epoch: milliseconds.
        metrics: numbers by name.
    """

    num_examples: int
    num_batches: int = 0
    epochs: float = 1.0
    ms_per_batch: float = 0.0
    ms_per_epoch: float = 0.0
    metrics: Metrics = field(default_factory=dict)

    def problem(self) -> str | None:
        """Why this report cannot be accepted, in words; None if it can."""
        for name in ("num_examples", "num_batches", "epochs", "ms_per_batch", "ms_per_epoch"):
            if (problem := number_problem(name, getattr(self, name))) is not None:
                return problem
        return metrics_problem(self.metrics)


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What a learner says of its evaluation.

    Attributes:
        num_examples: examples evaluated on, >= 0; the report's share when metrics are averaged.
        metrics: numbers by name.
    """

    num_examples: int
    metrics: Metrics = field(default_factory=dict)

    def problem(self) -> str | None:
        """Why this report cannot be accepted, in words; None if it can."""
        return number_problem("num_examples", self.num_examples) or metrics_problem(self.metrics)


def number_problem(name: str, value: float) -> str | None:
    """Why nothing can be counted with this number, in words; None if it can."""
    if not math.isfinite(value) or value < 0:
        return f"{name} is {value}; it must be a finite number >= 0"
    return f"{name} is {value:g}; at most {NUMBER_MAX:g} is taken" if value > NUMBER_MAX else None


def metrics_problem(metrics: Metrics) -> str | None:
    """Why these metrics cannot be accepted, in words; None if they can. NaN is a value: a diverged loss is news, not an error."""
    if len(metrics) > METRICS_MAX:
        return f"{len(metrics)} metrics; at most {METRICS_MAX} are taken"
    for name, value in metrics.items():
        if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"metric {name!r:.80} is {value!r:.80}; metrics are numbers by name"
        if len(name) > METRIC_CHARS_MAX or not name.isprintable():
            return f"metric {name!r:.80} is longer than {METRIC_CHARS_MAX} characters, or not printable; choose another name"
    return None


def averaged(reports: Mapping[LearnerId, EvaluationReport]) -> dict[str, float]:
    """Each metric's mean over the learners that report it, weighted by their examples.

    Learners that evaluated on no examples count only where nobody has any. Learners are taken in the order of their ids, so
    that the same reports give the same bits. Of more than METRICS_MAX metrics, those that most learners report are told.
    """
    told = _most_reported(reports)
    totals: dict[str, tuple[float, float]] = {}
    weighted = any(report.num_examples for report in reports.values())
    for _, report in sorted(reports.items()):
        share = report.num_examples if weighted else 1
        for name, value in report.metrics.items():
            if told is not None and name not in told:
                continue
            total, shares = totals.get(name, (0.0, 0.0))
            totals[name] = (total + share * value, shares + share) if share else (total, shares)
    return {name: total / shares for name, (total, shares) in totals.items() if shares}


def _most_reported(reports: Mapping[LearnerId, EvaluationReport]) -> set[str] | None:
    """METRICS_MAX names; None where there are no more. Each learner may have METRICS_MAX of its own."""
    counts = Counter(name for report in reports.values() for name in report.metrics)
    if len(counts) <= METRICS_MAX:
        return None
    return set(sorted(counts, key=lambda name: (-counts[name], name))[:METRICS_MAX])


def numbers(owner: str, values: Mapping[str, Any]) -> dict[str, float]:
    """User code's metrics as plain numbers: numpy and torch scalars are unwrapped.

    Raises:
        LearnerFailed: a value is no number; the message names it.
    """
    plain: dict[str, float] = {}
    for name, value in values.items():
        try:
            plain[str(name)] = value if type(value) is int else float(value)
        except (TypeError, ValueError):
            raise LearnerFailed(f"{owner} gave metric {name!r} = {value!r:.80}, which is not a number") from None
    return plain
