"""FedNova: updates count by what they learned per local step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.aggregation._weighted import WeightedMean
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.roll import Roll
from fedactors.errors import ConfigError, ModelError
from fedactors.model import Buffer, GlobalModel, Layout
from fedactors.task import TrainReport


@dataclass(frozen=True, slots=True)
class FedNova(Rule):
    """A step along the mean of the differences per local step, as long as the mean number of local steps.

    x <- x + (sum_i p_i a_i) sum_i p_i (w_i - b_i) / a_i, p_i = `factor` / sum of the factors, with w_i the `buffer`, b_i the
    `base` and a_i = |a_i|_1 of contribution i, which stands for its t_i = `report.num_batches` local steps:

        plain SGD               a_i = t_i
        SGD with momentum r     a_i = (t_i - r (1 - r^t_i) / (1 - r)) / (1 - r)

    Learners that do more steps than others pull the model no further to their own optimum. An update that reports no batches is
    refused. An integer tensor is x plus the step, rounded once, half to even. Updates are folded as they come, in O(1) models.

    Attributes:
        momentum: r in [0, 1), of the learners' optimiser; 0: plain SGD.

    Source: Wang et al., Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization, NeurIPS 2020,
    equations 5 to 8, arXiv:2007.07481; without their momentum on the server (see fedavgm).
    """

    momentum: float = 0.0
    needs_base: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"fednova has momentum={self.momentum}; give a number from 0 to below 1")

    def length(self, steps: int) -> float:
        """|a_i|_1 of this many local steps."""
        r = self.momentum
        return (steps - r * (1 - r**steps) / (1 - r)) / (1 - r)

    @override
    def check(self, report: TrainReport) -> None:
        if report.num_batches < 1:
            raise ModelError(
                "fednova divides an update by its local steps, and the learner reports none: "
                "have its train() return the metric 'num_batches', or use a rule that does not need it, as fedavg"
            )

    @override
    def fold(self, layout: Layout) -> Fold:
        return FedNovaFold(self, layout)


class FedNovaFold(Fold):
    """The open round's sum of differences per step, of shares, and of shares times steps."""

    def __init__(self, rule: FedNova, layout: Layout) -> None:
        self._rule = rule
        self._sum = WeightedMean(layout)
        self._roll = Roll()
        self._shares = self._lengths = 0.0

    @override
    def add(self, contribution: Contribution) -> None:
        assert contribution.base is not None, f"the update of {contribution.learner} comes without its base"
        assert contribution.report.num_batches > 0, f"the update of {contribution.learner} was not checked"
        if self._roll.enter(contribution):
            length, p = self._rule.length(contribution.report.num_batches), contribution.factor
            self._sum.add(contribution.buffer, p / length, contribution.base)
            self._shares += p
            self._lengths += p * length

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        shares, lengths = self._shares, self._lengths
        self._shares = self._lengths = 0.0
        self._roll.close()
        return self._sum.step(current.buffer, lengths / shares / shares)

    @override
    def abandon(self) -> None:
        self._shares = self._lengths = 0.0
        self._roll.clear()
        self._sum.clear()
