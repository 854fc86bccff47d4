"""The coordinate-wise median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.aggregation._order import middle_mean
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.kept import KeptFold
from fedactors.model import Buffer, GlobalModel, Layout


@dataclass(frozen=True, slots=True)
class Median(Rule):
    """The median of the updates, coordinate by coordinate; of an even number, the mean of the two in the middle.

    x_k = median_i w_i,k with w_i the `buffer` of contribution i. Fewer than half of the updates cannot move a coordinate beyond
    what the others say. The weighting says only whether an update counts (factor above 0). Values must be finite.

    The mean of two integers is rounded once, half to even; those beyond 2^53 to the precision of float64. Memory: every update of
    the round is kept until it is combined, N models; beside them a block.

    Source: Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, ICML 2018, definition 1,
    arXiv:1803.01498.
    """

    keeps_updates: ClassVar[bool] = True
    weighs: ClassVar[bool] = False
    elementwise: ClassVar[bool] = True
    discounts: ClassVar[bool] = False

    @override
    def fold(self, layout: Layout) -> Fold:
        return MedianFold(layout, self.updates_min, "median")


class MedianFold(KeptFold):
    """The open round's updates."""

    @override
    def combined(self, kept: Sequence[Contribution], current: GlobalModel) -> Buffer:
        return middle_mean(self.layout, [one.buffer for one in kept], (len(kept) - 1) // 2)
