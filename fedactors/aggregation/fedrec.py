"""FedRec: the mean of every learner's latest update, kept up at the cost of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.aggregation._kernels import zero_padding
from fedactors.aggregation._running import RunningSum
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.roll import Roll, named
from fedactors.aggregation.state import FoldState, put_back
from fedactors.errors import ModelError
from fedactors.model import Array, Buffer, GlobalModel, Layout, LearnerId

REBUILT_EVERY = 1_000
"""Replaced updates after which the sums are made anew from the latest updates: one pass over all learners in so many commits."""


@dataclass(frozen=True, slots=True)
class FedRec(Rule):
    """The weighted mean of every learner's latest update, of this round or of an earlier one.

    x = W / z with the running sums W = sum_i p_i w_i and z = sum_i p_i over the learners. A learner's first commit adds p w to W
    and p to z; a later one adds p_new w_new - p_old w_old and p_new - p_old, with the factor p_old that it was added with. A
    learner that leaves is subtracted. w is the `buffer` and p the `factor` of a contribution, at the time it came.

    A commit costs O(1) models of arithmetic, not one for each learner. W is summed in float64, z exactly. Integer tensors are the
    exact mean, rounded once, half to even. An old update that is not finite, or that is replaced after many others, has the sums
    made anew rather than subtracted from. Memory: W takes twice a float32 model, and each learner's latest update is kept. Each
    commit puts W into the model store, and the updates that are new; the store holds as many models as the rule.

    Source: Stripelis, Ambite et al., MetisFL, arXiv:2311.00334, where it is called FedRec.
    """

    across_rounds: ClassVar[bool] = True

    @override
    def fold(self, layout: Layout) -> Fold:
        return FedRecFold(layout)


@dataclass(frozen=True, slots=True)
class _Latest:
    buffer: Buffer
    factor: float


class FedRecFold(Fold):
    """The running sum, what it is the sum of, and the open round's updates, which are in neither until commit."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._sum = RunningSum(layout)
        self._latest: dict[LearnerId, _Latest] = {}
        self._open: dict[LearnerId, _Latest] = {}
        self._roll = Roll()
        self._forgotten = False
        self._replaced = 0

    @override
    def add(self, contribution: Contribution) -> None:
        self._roll.enter(contribution)
        self._open[contribution.learner] = _Latest(contribution.buffer.copy(), contribution.factor)

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        arrived, self._open = self._open, {}
        forgotten, self._forgotten = self._forgotten, False
        if not forgotten and not arrived:
            self._roll.close()
        self._roll.clear()
        after = {**self._latest, **arrived}
        factors = math.fsum(latest.factor for latest in after.values())
        if not factors:
            raise ModelError(
                f"the updates' factors sum to zero: {named(list(after)) or 'nobody'} reported nothing that they are weighted by"
            )
        for learner, latest in arrived.items():
            self._replace(learner, latest)
        return self._mean(factors)

    def _replace(self, learner: LearnerId, latest: _Latest) -> None:
        self._subtract(learner)
        self._latest[learner] = latest
        if latest.factor:
            self._sum.add(latest.buffer, latest.factor)

    def _subtract(self, learner: LearnerId) -> None:
        old = self._latest.pop(learner, None)
        if old is None or not old.factor:
            return
        self._replaced += 1
        if self._replaced >= max(REBUILT_EVERY, len(self._latest)) or self._layout.first_not_finite(old.buffer) is not None:
            self._rebuild()
        else:
            self._sum.add(old.buffer, -old.factor)

    def _rebuild(self) -> None:
        self._replaced = 0
        self._sum.clear()
        for latest in self._latest.values():
            if latest.factor:
                self._sum.add(latest.buffer, latest.factor)

    def _mean(self, factors: float) -> Buffer:
        out = np.empty(self._layout.nbytes, np.uint8)
        self._sum.mean(out, factors)
        zero_padding(out, self._layout)
        return out

    @override
    def abandon(self) -> None:
        self._open.clear()
        self._roll.clear()

    @override
    def forget(self, learner: LearnerId) -> None:
        self._open.pop(learner, None)
        if learner in self._latest:
            self._forgotten = True
            self._subtract(learner)

    @override
    def state(self) -> FoldState:
        """W, when it was last made anew, and who is in it with what."""
        factors = np.array([latest.factor for latest in self._latest.values()], np.float64)
        updates = {learner: latest.buffer for learner, latest in self._latest.items()}
        return FoldState(self._sums() | {"factors": factors}, tuple(self._latest), updates)

    @override
    def restore(self, state: FoldState) -> None:
        sums = self._sums()
        factors = np.empty(len(state.learners))
        put_back(state.arrays, sums | {"factors": factors})
        if missing := [learner for learner in state.learners if learner not in state.updates]:
            raise ModelError(f"the latest updates of {named(missing)} were not kept")
        self._replaced = int(sums["replaced"])
        self._latest = {
            learner: _Latest(state.updates[learner], float(factor))
            for learner, factor in zip(state.learners, factors, strict=True)
        }

    def _sums(self) -> dict[str, Array]:
        return {"sum": self._sum.total, "replaced": np.array(self._replaced, np.int64)}
