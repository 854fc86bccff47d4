"""FedAsync: each update is mixed into the global model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.aggregation._weighted import WeightedMean
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.roll import Roll
from fedactors.errors import ConfigError
from fedactors.model import Buffer, GlobalModel, Layout

SHRINK_FROM = 2.0**40
"""A factor that has grown beyond is brought back to about 1, and everything before it with it."""


@dataclass(frozen=True, slots=True)
class FedAsync(Rule):
    """Moving average of the updates as they come.

    x <- (1 - a_s) x + a_s w, a_s = alpha * discount(s), with w the `buffer`, s the `staleness` and discount(s) the `discount`
    of a contribution.

    Several updates in one round are mixed in one after the other: the result depends on their order (`Ordered` fixes it). The
    weighting says only whether an update counts (factor above 0). Integer tensors are rounded once a commit, half to even: with
    one update a commit and alpha below 1/2 they stand still where an update differs by 1. Updates are folded as they come, in
    O(1) models.

    Attributes:
        alpha: in (0, 1]; 1 replaces the model by an update that is not stale.

    Source: Xie, Koyejo and Gupta, Asynchronous Federated Optimization, OPT 2020, Algorithm 1, arXiv:1903.03934.
    """

    alpha: float = 0.6
    weighs: ClassVar[bool] = False
    elementwise: ClassVar[bool] = True
    across_rounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ConfigError(f"fedasync has alpha={self.alpha}; give a number above 0 and up to 1")

    @override
    def fold(self, layout: Layout) -> Fold:
        return FedAsyncFold(self.alpha, layout)


class FedAsyncFold(Fold):
    """The open round's updates as one weighted mean, in which x has factor 1.

    With r_i the product of (1 - a_j) for j <= i, update i has factor a_i / r_i. All factors sum to 1 / r_n, so that x's share is
    r_n and update i's a_i r_n / r_i: what is left of it after those that came later.
    """

    def __init__(self, alpha: float, layout: Layout) -> None:
        self._alpha = alpha
        self._mean = WeightedMean(layout)
        self._roll = Roll()
        self._begin()

    def _begin(self) -> None:
        self._rest = 1.0  # r_i, times 2 to the power of what was shrunk
        self._current = 1.0  # x's factor

    @override
    def add(self, contribution: Contribution) -> None:
        if not self._roll.enter(contribution):
            return
        share = self._alpha * contribution.discount
        if share == 1.0:  # nothing is left of what came before
            self._mean.clear()
            self._rest, self._current = 1.0, 0.0
        else:
            self._rest *= 1.0 - share
        if share / self._rest > SHRINK_FROM:
            self._shrink(math.frexp(share / self._rest)[1])
        self._mean.add(contribution.buffer, share / self._rest)

    def _shrink(self, exponent: int) -> None:
        self._mean.shrink(exponent)
        self._current = math.ldexp(self._current, -exponent)
        self._rest = math.ldexp(self._rest, exponent)

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        try:
            self._roll.close()
            self._mean.add(current.buffer, self._current)
            return self._mean.take()
        finally:
            self._begin()

    @override
    def abandon(self) -> None:
        self._roll.clear()
        self._mean.clear()
        self._begin()
