"""When a federation stops: after so many rounds, updates or seconds, when a metric is good enough or no longer gets better, or
when another round would tell too much of a learner's data.

`StopConditions` are the options; `conditions.start()` is a `StopState`, which is told of each commit and each ended round and
answers in constant time with the reason to stop, in words that name the figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from fedactors.dp.budget import PrivacyBudget
from fedactors.errors import ConfigError
from fedactors.record import RoundRecord
from fedactors.task import Metrics, Round

ROUNDS_WITHOUT_METRICS_MAX = 1_000
"""Ended rounds after which a metric that is waited for is taken for missing, where nothing at all is ever reported."""


@dataclass(frozen=True, slots=True)
class MetricTarget:
    """Stop when a metric of the global model is good enough, or no longer gets better; at least one of the two is given.

    Attributes:
        name: of the metric, as the learners' `evaluate` calls it.
        target: stop as soon as it is reached.
        direction: whether more or less of it is better.
        patience: stop after so many evaluated rounds in a row, >= 1, without a gain.
        min_delta: >= 0; a gain is more than this.
    """

    name: str
    target: float | None = None
    direction: Literal["max", "min"] = "max"
    patience: int | None = None
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.target is None and self.patience is None:
            raise ConfigError(f"the stop condition on metric {self.name!r} needs a target, a patience, or both")
        if self.direction not in {"max", "min"}:
            raise ConfigError(f"the direction of metric {self.name!r} is {self.direction!r}; it is 'max' or 'min'")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"the patience for metric {self.name!r} is {self.patience}; give at least 1 round")
        if not self.min_delta >= 0:
            raise ConfigError(f"min_delta of metric {self.name!r} is {self.min_delta}; give a number >= 0")

    def reached(self, value: float) -> bool:
        """Whether this value is good enough; NaN never is."""
        if self.target is None:
            return False
        return value >= self.target if self.direction == "max" else value <= self.target

    def better(self, value: float, best: float | None) -> bool:
        """Whether this value is a gain over the best so far; any number is a gain over none, NaN never is."""
        if best is None:
            return not math.isnan(value)
        gain = value - best if self.direction == "max" else best - value
        return gain > self.min_delta


@dataclass(frozen=True, slots=True)
class StopConditions:
    """When to stop: at the first that is met. Without any, only an operator ends the federation.

    Attributes:
        rounds: committed rounds, >= 1.
        updates: accepted updates that committed rounds were combined from, >= 1; the commit that reaches it is the last.
        duration_s: seconds > 0 since training began.
        metric: a metric's target or its standstill.
        privacy: what committed rounds spend, and how much they may; the round that would exceed it does not begin.
    """

    rounds: int | None = None
    updates: int | None = None
    duration_s: float | None = None
    metric: MetricTarget | None = None
    privacy: PrivacyBudget | None = None

    def __post_init__(self) -> None:
        for name, count in (("rounds", self.rounds), ("updates", self.updates)):
            if count is not None and count < 1:
                raise ConfigError(f"the stop condition {name}={count} is met before it begins; give at least 1")
        if self.duration_s is not None and not self.duration_s > 0:
            raise ConfigError(f"the stop condition duration_s={self.duration_s} is met before it begins; give seconds above 0")

    @property
    def needs_evaluation(self) -> bool:
        """Whether a round's evaluation must be known before the next round begins."""
        return self.metric is not None

    def epsilon(self, committed: int) -> float | None:
        """What so many committed rounds have spent of the learners' privacy; None where that is not accounted."""
        return None if self.privacy is None else self.privacy.epsilon(committed)

    def start(self, records: Iterable[RoundRecord] = ()) -> StopState:
        """The state at the beginning, or after these rounds: a run that is resumed goes on counting where it was."""
        state = StopState(self)
        for record in records:
            state.after_commit(record.round, record.totals.accepted)
            state.after_evaluation(record)
        return state

    def reached(self, records: Iterable[RoundRecord], elapsed_s: float) -> str | None:
        """Why a federation with these rounds, in order, should stop; None if it should go on. Takes time for every record."""
        state = StopState(self)
        for record in records:
            why = state.after_commit(record.round, record.totals.accepted) or state.after_evaluation(record)
            if why is not None:
                return why
        return state.after_time(elapsed_s)


@dataclass(slots=True)
class StopState:
    """How far the conditions are from being met.

    Attributes:
        conditions: what is waited for.
        committed: rounds that gave a version.
        updates: that these were combined from.
        ended: rounds whose evaluation is over, or that had none.
        best: the best value of the metric, None before the first number.
        best_round: the round that reached it.
        stale: evaluated rounds since then.
        reported: the metrics reported last.
    """

    conditions: StopConditions
    committed: int = 0
    updates: int = 0
    ended: int = 0
    best: float | None = None
    best_round: Round = 0
    stale: int = 0
    reported: Metrics = field(default_factory=dict)

    def after_commit(self, round_: Round, updates: int = 0) -> str | None:
        """A round gave a new version, of so many updates. Why to stop now, in words; None to go on."""
        self.committed += 1
        self.updates += updates
        rounds, limit = self.conditions.rounds, self.conditions.updates
        if rounds is not None and self.committed >= rounds:
            return f"round {round_} is committed, the last of {rounds}"
        if limit is not None and self.updates >= limit:
            return f"{self.updates} updates are combined in {self.committed} rounds; the limit is {limit}"
        privacy = self.conditions.privacy
        return None if privacy is None else privacy.exhausted_after(self.committed)

    def after_evaluation(self, record: RoundRecord) -> str | None:
        """A committed round has ended, evaluated or not. Why to stop now, in words; None to go on."""
        self.ended += 1
        target = self.conditions.metric
        if target is None:
            return None
        self.reported = record.metrics or self.reported
        if target.name not in record.metrics:
            return self._missing(target.name)
        value = record.metrics[target.name]
        if target.better(value, self.best):
            self.best, self.best_round, self.stale = value, record.round, 0
        else:
            self.stale += 1
        if target.reached(value):
            return f"metric {target.name!r} is {value:.6g} after round {record.round}; its target is {target.target:.6g}"
        if target.patience is not None and self.stale >= target.patience:
            return self._standstill(target)
        return None

    def after_time(self, elapsed_s: float) -> str | None:
        """So many seconds have passed since training began. Why to stop now, in words; None to go on."""
        limit_s = self.conditions.duration_s
        if limit_s is not None and elapsed_s >= limit_s:
            return f"{elapsed_s:.6g} s have passed; the limit is {limit_s:.6g} s"
        return None

    def _missing(self, name: str) -> str | None:
        """A name that nobody ever reports would be waited for without end."""
        if self.best is not None or self.stale:
            return None  # it was reported before: this round's evaluation failed, or there was none
        if self.reported:
            return f"metric {name!r}, which the run stops by, is not reported; learners report {', '.join(sorted(self.reported))}"
        if self.ended >= ROUNDS_WITHOUT_METRICS_MAX:
            return f"metric {name!r}, which the run stops by, is not reported: no metric was, in {self.ended} rounds"
        return None

    def _standstill(self, target: MetricTarget) -> str:
        gain = f"by more than {target.min_delta:.6g} " if target.min_delta else ""
        best = "no number yet" if self.best is None else f"{self.best:.6g} of round {self.best_round}"
        return f"metric {target.name!r} has not got better {gain}in {self.stale} rounds; its best is {best}"
