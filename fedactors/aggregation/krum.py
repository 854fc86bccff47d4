"""Krum: the update that is nearest to its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.aggregation._distance import gram, squared_distances
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.kept import KeptFold, copied
from fedactors.errors import ConfigError
from fedactors.model import Array, Buffer, GlobalModel, Layout


@dataclass(frozen=True, slots=True)
class Krum(Rule):
    """The one update whose nearest neighbours are nearest.

    Of N updates of which up to f may be of any content: s_i = sum over the N - f - 2 updates j nearest to i of |w_i - w_j|^2;
    x = w_i with the least s_i; of equal ones the first. w_i is the `buffer` of contribution i; distances are over floating-point
    tensors. The weighting says only whether an update counts (factor above 0).

    Costs N^2 P multiplications in float32, on differences from the current model. Memory: every update of the round is kept until
    it is combined, N models; beside them a block.

    Attributes:
        byzantine: f >= 0; a round needs 2 f + 3 updates.

    Source: Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, NeurIPS 2017, section 4,
    arXiv:1703.02757.
    """

    byzantine: int = 1
    keeps_updates: ClassVar[bool] = True
    weighs: ClassVar[bool] = False
    discounts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_byzantine("krum", self.byzantine)

    @property
    @override
    def updates_min(self) -> int:
        return 2 * self.byzantine + 3

    @override
    def fold(self, layout: Layout) -> Fold:
        return KrumFold(self, layout)


class KrumFold(KeptFold):
    """The open round's updates."""

    def __init__(self, rule: Krum, layout: Layout) -> None:
        super().__init__(layout, rule.updates_min, f"krum with byzantine={rule.byzantine}")
        self._byzantine = rule.byzantine

    @override
    def combined(self, kept: Sequence[Contribution], current: GlobalModel) -> Buffer:
        scores = krum_scores(distances(self.layout, kept, current), self._byzantine)
        return copied(self.layout, kept[int(np.argmin(scores))].buffer)


def distances(layout: Layout, kept: Sequence[Contribution], current: GlobalModel) -> Array:
    """|w_i - w_j|^2: float64[n, n]."""
    return squared_distances(gram(layout, [one.buffer for one in kept], current.buffer))


def krum_scores(squared: Array, byzantine: int) -> Array:
    """s_i of each update, float64[n], from |w_i - w_j|^2; at least one neighbour is looked at."""
    others = squared + np.diag(np.full(len(squared), np.inf))
    others.sort(axis=1)
    return np.asarray(others[:, : max(len(squared) - byzantine - 2, 1)].sum(axis=1))


def check_byzantine(rule: str, byzantine: int) -> None:
    """Refuse a number below 0."""
    if byzantine < 0:
        raise ConfigError(f"{rule} has byzantine={byzantine}; give the number of updates that may be of any content, >= 0")
