"""Deterministic aggregation: any rule, with the same bits for the same set of updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.wrapping import Wrapping, WrappingFold
from fedactors.model import Buffer, GlobalModel, Layout, LearnerId


@dataclass(frozen=True, slots=True)
class Ordered(Wrapping):
    """Holds a round's contributions and adds them at commit, ordered by learner id; two of one learner with the stalest first.

    Floating-point sums depend on their order; arrival depends on the network. Costs memory: every update of the round is kept
    until it is combined, N models where the rule alone may need one.

    Attributes:
        rule: the rule that combines.
    """

    keeps_updates: ClassVar[bool] = True

    rule: Rule

    @override
    def fold(self, layout: Layout) -> Fold:
        return OrderedFold(self.rule.fold(layout))


class OrderedFold(WrappingFold):
    """The open round's contributions, and the fold that they go to."""

    def __init__(self, fold: Fold) -> None:
        super().__init__(fold)
        self._contributions: list[Contribution] = []
        self._gone: set[LearnerId] = set()

    @override
    def add(self, contribution: Contribution) -> None:
        self._contributions.append(contribution)
        self._gone.discard(contribution.learner)

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        contributions, self._contributions = sorted(self._contributions, key=place), []
        if not self._gone:
            return self._fold.commit_with(contributions, current)
        for contribution in contributions:
            self._fold.add(contribution)
        self._forget_gone()
        return self._fold.commit(current)

    @override
    def abandon(self) -> None:
        self._contributions.clear()
        self._fold.abandon()
        self._forget_gone()

    @override
    def forget(self, learner: LearnerId) -> None:
        self._gone.add(learner)

    def _forget_gone(self) -> None:
        for learner in sorted(self._gone):
            self._fold.forget(learner)
        self._gone.clear()


def place(contribution: Contribution) -> tuple[str, int, float]:
    """What contributions are sorted by: learner id, the stalest first; whatever else there is makes no difference."""
    return contribution.learner, -contribution.staleness, contribution.factor
