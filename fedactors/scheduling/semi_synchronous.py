"""Rounds in which every learner trains for the same time, the fast ones on more batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

from typing_extensions import override

from fedactors.errors import ConfigError
from fedactors.scheduling.base import Protocol, Schedule, Terms
from fedactors.scheduling.pace import EqualTime
from fedactors.scheduling.rounds import LateUpdates, RoundRules, RoundsSchedule


@dataclass(frozen=True, slots=True)
class SemiSynchronous(Protocol):
    """Rounds as in `synchronous`, but nobody idles: a learner trains on as many batches as fit into the round.

    t_max = lambda * max_i(ms_per_epoch_i) over the cohort;  steps_i = max(1, ceil(t_max / ms_per_batch_i)).

    A learner whose timings are not known - in the first round nobody's are - makes a cold start: it trains as [train] says.
    Timings are those it reported last; one that does not tell how long a batch takes (ms_per_batch, or num_batches) makes a cold
    start in every round. A learner that joins anew is a new one.

    Attributes:
        pace: lambda > 0: for how many epochs of its slowest learner a round lasts; may be fractional.
        recompute: from the latest timings in every round; otherwise each learner's steps are computed once.
        round_timeout_s: seconds > 0 after which a round combines with what it has; None: it waits. As in `synchronous`.
        min_updates: updates that a round needs, >= 1.
        over_selection: share of learners asked beyond those needed, >= 0. As in `synchronous`.
        max_failed_rounds: abandoned rounds in a row after which the federation gives up, >= 1.
        late_updates: "refuse" what is not answered when a round combines, or "keep" it for the next. As in `synchronous`.

    Source: Stripelis, Thompson, Ambite, Semi-Synchronous Federated Learning for Energy-Efficient Training and Accelerated
    Convergence in Cross-Silo Settings, ACM TIST 2022, section 4, arXiv:2102.02849. Deviations: the maximum runs over the round's
    cohort, which is all learners there; steps are at most `pace.STEPS_MAX`.
    """

    pace: float = 1.0
    recompute: bool = True
    round_timeout_s: float | None = None
    min_updates: int = 1
    over_selection: float = 0.0
    max_failed_rounds: int = 3
    late_updates: LateUpdates = "refuse"

    def __post_init__(self) -> None:
        if not 0 < self.pace < math.inf:
            raise ConfigError(f"pace is {self.pace}; give epochs of the slowest learner above 0, such as 2.0")
        self._rules()

    @override
    def schedule(self, terms: Terms) -> Schedule:
        return RoundsSchedule(self._rules(), terms, EqualTime(self.pace, recompute=self.recompute))

    def _rules(self) -> RoundRules:
        return RoundRules(self.round_timeout_s, self.min_updates, self.over_selection, self.max_failed_rounds, self.late_updates)
