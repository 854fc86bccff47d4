"""The coordinate-wise trimmed mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.aggregation._order import middle_mean
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.kept import KeptFold
from fedactors.errors import ConfigError
from fedactors.model import Buffer, GlobalModel, Layout

SLACK = 1e-9
"""0.29 of 100 updates are 29, although 0.29 * 100 is a little less."""


@dataclass(frozen=True, slots=True)
class TrimmedMean(Rule):
    """The mean of each coordinate without its greatest and its least values.

    Of N updates the floor(trim N) least and the floor(trim N) greatest values of each coordinate are left out; x_k is the plain
    mean of the others. Robust against floor(trim N) updates of any content. The weighting says only whether an update counts
    (factor above 0). Values must be finite.

    Integers are rounded once, half to even. Memory: every update of the round is kept until it is combined, N models; beside them
    a block.

    Attributes:
        trim: beta, above 0 and below 1/2: the share of the updates that is left out at either end.

    Source: Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, ICML 2018, definition 2,
    arXiv:1803.01498.
    """

    trim: float = 0.2
    keeps_updates: ClassVar[bool] = True
    weighs: ClassVar[bool] = False
    elementwise: ClassVar[bool] = True
    discounts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.trim < 0.5:
            raise ConfigError(f"trimmed_mean has trim={self.trim}; give a number above 0 and below 0.5")

    @property
    @override
    def updates_min(self) -> int:
        return math.ceil(1 / self.trim - SLACK)

    @override
    def fold(self, layout: Layout) -> Fold:
        return TrimmedMeanFold(self, layout)


class TrimmedMeanFold(KeptFold):
    """The open round's updates."""

    def __init__(self, rule: TrimmedMean, layout: Layout) -> None:
        super().__init__(layout, rule.updates_min, f"trimmed_mean with trim={rule.trim}")
        self._trim = rule.trim

    @override
    def combined(self, kept: Sequence[Contribution], current: GlobalModel) -> Buffer:
        return middle_mean(self.layout, [one.buffer for one in kept], int(self._trim * len(kept) + SLACK))
