"""The geometric median of the updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.aggregation._distance import gram
from fedactors.aggregation._weighted import Term, WeightedMean
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.kept import KeptFold
from fedactors.errors import ConfigError
from fedactors.model import Array, Buffer, GlobalModel, Layout

STANDSTILL = 1e-12
"""Shares that all change by less than this part of themselves in one iteration have converged."""


@dataclass(frozen=True, slots=True)
class GeometricMedian(Rule):
    """The point with the least weighted sum of distances to the updates, by smoothed Weiszfeld iterations.

    x minimises sum_i p_i |x - w_i|: from the weighted mean on, b_i = p_i / max(nu, |x - w_i|), x = sum_i b_i w_i / sum_i b_i,
    with w_i the `buffer` and p_i the `factor` / sum of the factors of contribution i; distances are over floating-point tensors,
    the other tensors are combined with the same b_i. Robust while less than half of the share is of any content.

    Every x is a combination of the updates, so the iterations work on N numbers and the updates' inner products, which are taken
    once, in float64, from the current model. Dtypes are treated as fedavg treats them. Memory: every update of the round is kept
    until it is combined, N models; beside them a block.

    Attributes:
        smoothing: nu > 0, as a distance: nearer to an update than this is near enough.
        iterations: at most, >= 1; it ends earlier where nothing changes any more.

    Source: Pillutla, Kakade and Harchaoui, Robust Aggregation for Federated Learning, IEEE Transactions on Signal Processing,
    2022, algorithm 2, arXiv:1912.13445. There each iteration is a round of messages, and three suffice.
    """

    smoothing: float = 1e-6
    iterations: int = 1000
    keeps_updates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.smoothing > 0:
            raise ConfigError(f"geometric_median has smoothing={self.smoothing}; give a distance above 0")
        if self.iterations < 1:
            raise ConfigError(f"geometric_median has iterations={self.iterations}; give a number >= 1")

    @override
    def fold(self, layout: Layout) -> Fold:
        return GeometricMedianFold(self, layout)


class GeometricMedianFold(KeptFold):
    """The open round's updates."""

    def __init__(self, rule: GeometricMedian, layout: Layout) -> None:
        super().__init__(layout, rule.updates_min, "geometric_median")
        self._rule = rule

    @override
    def combined(self, kept: Sequence[Contribution], current: GlobalModel) -> Buffer:
        inner = gram(self.layout, [one.buffer for one in kept], current.buffer, np.float64)
        shares = weiszfeld(inner, np.array([one.factor for one in kept]), self._rule)
        by_share = sorted(zip(shares, kept, strict=True), key=lambda pair: -pair[0])
        return WeightedMean(self.layout).mean_of(Term(one.buffer, float(share)) for share, one in by_share)


def weiszfeld(inner: Array, factors: Array, rule: GeometricMedian) -> Array:
    """The updates' shares b_i in their geometric median, float64[n], with the sum 1.

    Args:
        inner: float64[n, n], the updates' inner products.
        factors: float64[n], their factors.
        rule: smoothing and iterations.
    """
    p = factors / factors.sum()
    shares = p
    for _ in range(rule.iterations):
        product = inner @ shares
        distance = np.sqrt(np.maximum(np.diag(inner) - 2 * product + shares @ product, 0.0))
        pulls = p / np.maximum(distance, rule.smoothing)
        before, shares = shares, pulls / pulls.sum()
        if (np.abs(shares - before) <= STANDSTILL * before).all():
            break
    return np.asarray(shares)
