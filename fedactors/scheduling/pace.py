"""How many batches each learner trains on, so that all take the same time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from fedactors.model import LearnerId
from fedactors.selection.base import Candidate

STEPS_MAX = 1_000_000
"""No learner trains on more batches in one task, whatever timings are reported."""


def hyper_period_ms(pace: float, cohort: Iterable[Candidate]) -> float | None:
    """t_max = pace * max_i ms_per_epoch_i, in milliseconds; None where no member has ever told its time per epoch."""
    times = [member.ms_per_epoch for member in cohort if member.ms_per_epoch > 0]
    return pace * max(times) if times else None


def steps_within(t_max_ms: float, ms_per_batch: float) -> int:
    """max(1, ceil(t_max / ms_per_batch)), at most STEPS_MAX; ms_per_batch > 0."""
    return max(1, math.ceil(min(t_max_ms / ms_per_batch, STEPS_MAX)))


class EqualTime:
    """Every learner trains for as long as the slowest of its cohort needs for `pace` epochs.

    A learner that has not told its time per batch yet is left out: it makes a cold start. One that was known and is not any more
    has joined anew, so that its steps count no longer.
    """

    def __init__(self, pace: float, *, recompute: bool) -> None:
        self._pace = pace
        self._recompute = recompute
        self._t_max_ms: float | None = None
        self._steps: dict[LearnerId, int] = {}

    def steps(self, cohort: Sequence[Candidate]) -> dict[LearnerId, int]:
        """Batches by learner: of the latest timings, or of the first ones where they are not to be recomputed."""
        timed = [member for member in cohort if member.ms_per_batch > 0]
        t_max_ms = self._t_max_ms if self._t_max_ms is not None else hyper_period_ms(self._pace, timed)
        if t_max_ms is None:
            return {}
        if self._recompute:
            return {member.learner: steps_within(t_max_ms, member.ms_per_batch) for member in timed}
        self._t_max_ms = t_max_ms
        for member in cohort:
            if member.ms_per_batch <= 0:
                self._steps.pop(member.learner, None)
        for member in timed:
            self._steps.setdefault(member.learner, steps_within(t_max_ms, member.ms_per_batch))
        return {member.learner: self._steps[member.learner] for member in timed}
