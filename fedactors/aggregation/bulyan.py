"""Bulyan: Krum's choice, then what is nearest to the median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.aggregation._order import nearest_mean
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.kept import KeptFold
from fedactors.aggregation.krum import check_byzantine, distances, krum_scores
from fedactors.model import Array, Buffer, GlobalModel, Layout


@dataclass(frozen=True, slots=True)
class Bulyan(Rule):
    """The mean of the values nearest to the median, of updates that Krum chose one after the other.

    Of N updates of which up to f may be of any content, Krum chooses t = N - 2 f: each time the best of those that are left,
    whose scores are taken among themselves. x_k is the plain mean of the t - 2 f values of w_i,k nearest to their median;
    of two at equal distance the lesser. The weighting says only whether an update counts (factor above 0). Values must
    be finite.

    Integers are rounded once, half to even. Costs N^2 P multiplications in float32 and a sort of each coordinate. Memory: every
    update of the round is kept until it is combined, N models; beside them a block.

    Attributes:
        byzantine: f >= 0; a round needs 4 f + 3 updates.

    Source: El Mhamdi, Guerraoui and Rouault, The Hidden Vulnerability of Distributed Learning in Byzantium, ICML 2018, section 4,
    arXiv:1802.07927.
    """

    byzantine: int = 1
    keeps_updates: ClassVar[bool] = True
    weighs: ClassVar[bool] = False
    discounts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_byzantine("bulyan", self.byzantine)

    @property
    @override
    def updates_min(self) -> int:
        return 4 * self.byzantine + 3

    @override
    def fold(self, layout: Layout) -> Fold:
        return BulyanFold(self, layout)


class BulyanFold(KeptFold):
    """The open round's updates."""

    def __init__(self, rule: Bulyan, layout: Layout) -> None:
        super().__init__(layout, rule.updates_min, f"bulyan with byzantine={rule.byzantine}")
        self._byzantine = rule.byzantine

    @override
    def combined(self, kept: Sequence[Contribution], current: GlobalModel) -> Buffer:
        count = len(kept) - 2 * self._byzantine
        chosen = krum_choices(distances(self.layout, kept, current), self._byzantine, count)
        return nearest_mean(self.layout, [kept[index].buffer for index in chosen], count - 2 * self._byzantine)


def krum_choices(squared: Array, byzantine: int, count: int) -> list[int]:
    """The indices of `count` updates, each the best by Krum of those not yet chosen; in ascending order."""
    left = list(range(len(squared)))
    for _ in range(count):
        left.pop(int(np.argmin(krum_scores(squared[np.ix_(left, left)], byzantine))))
    return [index for index in range(len(squared)) if index not in set(left)]
