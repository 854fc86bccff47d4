"""Rounds in which every learner trains as long as the configuration says."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from fedactors.scheduling.base import Protocol, Schedule, Terms
from fedactors.scheduling.rounds import LateUpdates, RoundRules, RoundsSchedule


@dataclass(frozen=True, slots=True)
class Synchronous(Protocol):
    """A round combines when every cohort member that is still here has answered, or earlier by these options.

    A round begins when it is granted and `min_updates` learners are here, the first when `min_learners` are. A cohort smaller
    than `min_updates` is filled up from the selection policy.

    Attributes:
        round_timeout_s: seconds > 0 after which a round combines with what it has, if that is `min_updates`, or as soon as it is;
            None: a round waits for all of its cohort.
        min_updates: updates that a round needs, >= 1.
        over_selection: share of learners asked beyond those needed, >= 0: where n are selected, ceil(n (1 + over_selection)) are
            asked and the round combines when n have answered. Without effect where selection takes everybody.
        max_failed_rounds: abandoned rounds in a row after which the federation gives up, >= 1.
        late_updates: of what is not answered when a round combines. "refuse": it is cancelled, and a late answer is refused.
            "keep": it may still be answered until the next round combines, and then counts there with its staleness; the next
            round neither waits for it nor asks its learner.

    Source: McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017,
    arXiv:1602.05629; over-selection and deadlines: Bonawitz et al., Towards Federated Learning at Scale: System Design, MLSys
    2019, section 2.2, arXiv:1902.01046.
    """

    round_timeout_s: float | None = None
    min_updates: int = 1
    over_selection: float = 0.0
    max_failed_rounds: int = 3
    late_updates: LateUpdates = "refuse"

    def __post_init__(self) -> None:
        self._rules()

    @override
    def schedule(self, terms: Terms) -> Schedule:
        return RoundsSchedule(self._rules(), terms)

    def _rules(self) -> RoundRules:
        return RoundRules(self.round_timeout_s, self.min_updates, self.over_selection, self.max_failed_rounds, self.late_updates)
