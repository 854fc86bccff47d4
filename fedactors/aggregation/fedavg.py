"""Federated averaging."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.aggregation._weighted import Term, WeightedMean
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.roll import Roll
from fedactors.model import Buffer, GlobalModel, Layout


@dataclass(frozen=True, slots=True)
class FedAvg(Rule):
    """The weighted mean of the updates.

    x = sum_i p_i w_i / sum_i p_i, with w_i the `buffer` and p_i the `factor` of contribution i.

    Every tensor keeps its dtype. Floating-point tensors are summed in at least float32, to within 1e-6 of the exact mean for any
    number of updates. An integer tensor is the exact mean, rounded once, half to even (exact while the weighted sum stays below
    2^53); a bool tensor is True where more than half of the share says so. Updates are folded as they come: the accumulator is as
    large as the model (twice for 16-bit tensors), and once more for each power of 16 in the number of updates.

    Source: McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017, Algorithm 1,
    arXiv:1602.05629. There p_i = n_i; here p_i is what the weighting says.
    """

    elementwise: ClassVar[bool] = True

    @override
    def fold(self, layout: Layout) -> Fold:
        return FedAvgFold(layout)


class FedAvgFold(Fold):
    """The running weighted mean of the open round."""

    def __init__(self, layout: Layout) -> None:
        self._mean = WeightedMean(layout)
        self._roll = Roll()

    @override
    def add(self, contribution: Contribution) -> None:
        self._roll.enter(contribution)
        self._mean.add(contribution.buffer, contribution.factor)

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        self._roll.close()
        return self._mean.take()

    @override
    def commit_with(self, contributions: Sequence[Contribution], current: GlobalModel) -> Buffer:
        if self._mean.factors:
            return super().commit_with(contributions, current)
        for contribution in contributions:
            self._roll.enter(contribution)
        self._roll.close()
        return self._mean.mean_of(Term(contribution.buffer, contribution.factor) for contribution in contributions)

    @override
    def abandon(self) -> None:
        self._roll.clear()
        self._mean.clear()
