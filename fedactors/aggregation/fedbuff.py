"""FedBuff: the buffered updates' mean difference from their bases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.aggregation._weighted import WeightedMean
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.roll import Roll
from fedactors.errors import ConfigError
from fedactors.model import Buffer, GlobalModel, Layout


@dataclass(frozen=True, slots=True)
class FedBuff(Rule):
    """A step along the mean discounted difference of the round's updates, whichever version each started from.

    x <- x + eta sum_i n_i discount(s_i) (w_i - b_i) / sum_i n_i, with w_i the `buffer`, b_i the `base`, n_i discount(s_i) the
    `factor` and discount(s_i) the `discount` of contribution i. With the weighting `participants`, which a configuration of this
    rule has unless it names another, every n_i is 1, and this is the paper's mean(discount(s_i) delta_i). A discount makes the
    step shorter, which no other share makes up for.

    An integer tensor is x plus the step, rounded once, half to even. Updates are folded as they come, in O(1) models, plus the
    versions that open updates started from.

    Attributes:
        server_learning_rate: eta > 0, dimensionless.

    Source: Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation, AISTATS 2022, Algorithm 1,
    arXiv:2106.06639. There delta is the base minus the update. How many updates make a round is the protocol's concern.
    """

    server_learning_rate: float = 1.0
    needs_base: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.server_learning_rate > 0:
            raise ConfigError(f"fedbuff has server_learning_rate={self.server_learning_rate}; give a number above 0")

    @override
    def fold(self, layout: Layout) -> Fold:
        return FedBuffFold(self.server_learning_rate, layout)


class FedBuffFold(Fold):
    """The open round's sum of differences, and of the shares before their discount."""

    def __init__(self, server_learning_rate: float, layout: Layout) -> None:
        self._eta = server_learning_rate
        self._sum = WeightedMean(layout)
        self._roll = Roll()
        self._shares = 0.0

    @override
    def add(self, contribution: Contribution) -> None:
        assert contribution.base is not None, f"the update of {contribution.learner} comes without its base"
        if self._roll.enter(contribution):
            self._shares += contribution.factor / contribution.discount
            self._sum.add(contribution.buffer, contribution.factor, contribution.base)

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        shares, self._shares = self._shares, 0.0
        self._roll.close()
        return self._sum.step(current.buffer, self._eta / shares)

    @override
    def abandon(self) -> None:
        self._shares = 0.0
        self._roll.clear()
        self._sum.clear()
