"""Federated averaging in blocks of learners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.aggregation._weighted import Term, WeightedMean
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.roll import Roll
from fedactors.model import Buffer, GlobalModel, Layout


@dataclass(frozen=True, slots=True)
class FedStride(Rule):
    """The weighted mean of the updates, combined in blocks of `stride`.

    x = sum_i p_i w_i / sum_i p_i, with w_i the `buffer` and p_i the `factor` of contribution i: what fedavg gives, bit by bit.
    Updates are held until there are `stride` of them, then folded together; so at most `stride` models are resident, and the
    accumulator. Dtypes are treated as fedavg treats them.

    Attributes:
        stride: updates in a block; 0 or less: all of the round.

    Source: Stripelis, Ambite et al., MetisFL, arXiv:2311.00334. There a block is read back from the model store.
    """

    stride: int = 8
    elementwise: ClassVar[bool] = True

    @override
    def fold(self, layout: Layout) -> Fold:
        return FedStrideFold(self.stride, layout)


class FedStrideFold(Fold):
    """The running weighted mean of the open round, and copies of the updates that wait for their block to be full."""

    def __init__(self, stride: int, layout: Layout) -> None:
        self._stride = stride
        self._mean = WeightedMean(layout)
        self._roll = Roll()
        self._block: list[Term] = []

    @override
    def add(self, contribution: Contribution) -> None:
        if self._roll.enter(contribution):
            self._block.append(Term(contribution.buffer.copy(), contribution.factor))
        if len(self._block) == self._stride:
            self._fold_block()

    def _fold_block(self) -> None:
        self._mean.add_all(self._block)
        self._block.clear()

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        self._roll.close()
        self._fold_block()
        return self._mean.take()

    @override
    def abandon(self) -> None:
        self._roll.clear()
        self._block.clear()
        self._mean.clear()
