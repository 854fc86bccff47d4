"""SCAFFOLD on the server's side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.aggregation._weighted import WeightedMean
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.roll import Roll
from fedactors.aggregation.state import FoldState
from fedactors.errors import ConfigError
from fedactors.model import Buffer, GlobalModel, Layout, LearnerId
from fedactors.variates import plain_layout


@dataclass(frozen=True, slots=True)
class Scaffold(Rule):
    """The mean of the updates' differences, and control variates that keep learners with unlike data from drifting apart.

    x <- x + eta_g mean_S (y_i - x);  c <- c + (1/N) sum_S (c_i+ - c_i), where y_i - x is contribution i's `buffer` less its
    `base`, and c_i+ - c_i what stands in its buffer for its variates. S are the round's learners.

    Each learner adds c - c_i to the gradients of its local steps, and c_i follows from where they lead: TorchLearner does so by
    itself, other learners with `params.correction`. Steps are those of plain SGD; with momentum c_i is not the mean gradient.
    Their length is `[train] learning_rate`, or what a learner reports as its metric `learning_rate`. A learner that is started
    anew begins with c_i = 0, while c still holds what it had sent before.

    Twice the model travels and is stored. Integer tensors are x plus the step, rounded once; they have no variates. Updates are
    folded as they come, in O(1) models.

    Attributes:
        server_learning_rate: eta_g > 0, dimensionless.
        learners: N >= 0, the learners of the federation; 0: `learners.count`. Where more have taken part, N is their number.

    Source: Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, ICML 2020, Algorithm 1 with
    option II, arXiv:1910.06378.
    """

    server_learning_rate: float = 1.0
    learners: int = 0
    variates: ClassVar[bool] = True
    needs_base: ClassVar[bool] = True
    weighs: ClassVar[bool] = False
    discounts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.server_learning_rate > 0:
            raise ConfigError(f"scaffold has server_learning_rate={self.server_learning_rate}; give a number above 0")
        if self.learners < 0:
            raise ConfigError(f"scaffold has learners={self.learners}; give their number, or 0 for learners.count")

    @override
    def fold(self, layout: Layout) -> Fold:
        return ScaffoldFold(self, layout)


class ScaffoldFold(Fold):
    """The open round's sums: of the steps of x, and of what the learners' variates grew by."""

    def __init__(self, rule: Scaffold, layout: Layout) -> None:
        self._rule = rule
        self._nbytes = layout.nbytes
        plain = plain_layout(layout)
        self._parts = [(slice(0, plain.nbytes), WeightedMean(plain))]
        if plain is not layout:
            variates = Layout.from_specs(layout.specs[len(plain.tensors) :])
            self._parts.append((slice(plain.nbytes, layout.nbytes), WeightedMean(variates)))
        self._roll = Roll()
        self._updates = 0
        self._known: set[LearnerId] = set()

    @override
    def add(self, contribution: Contribution) -> None:
        base = contribution.base
        assert base is not None, f"the update of {contribution.learner} comes without its base"
        if self._roll.enter(contribution):
            (x, steps), *variates = self._parts
            steps.add(contribution.buffer[x], 1.0, base[x])
            for at, growth in variates:
                growth.add(contribution.buffer[at], 1.0)
            self._updates += 1
            self._known.add(contribution.learner)

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        updates, self._updates = self._updates, 0
        self._roll.close()
        scales = (self._rule.server_learning_rate / updates, 1.0 / max(self._rule.learners, len(self._known)))
        out = np.empty(self._nbytes, np.uint8)
        for (at, total), scale in zip(self._parts, scales, strict=False):  # without variates there is one part
            out[at] = total.step(current.buffer[at], scale)
        return out

    @override
    def abandon(self) -> None:
        self._updates = 0
        self._roll.clear()
        for _, total in self._parts:
            total.clear()

    @override
    def forget(self, learner: LearnerId) -> None:
        self._known.discard(learner)

    @override
    def state(self) -> FoldState:
        """Who has taken part; c is in the model."""
        return FoldState(learners=tuple(sorted(self._known)))

    @override
    def restore(self, state: FoldState) -> None:
        super().restore(replace(state, learners=()))
        self._known = set(state.learners)
