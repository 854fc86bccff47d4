"""Deterministic aggregation: any rule, with the same bits for the same set of updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.model import Buffer, GlobalModel, Layout


@dataclass(frozen=True, slots=True)
class Ordered(Rule):
    """Holds a round's contributions and adds them at commit, ordered by learner id; two of one learner in order of staleness.

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


class OrderedFold(Fold):
    """The open round's contributions, and the fold that they go to."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._contributions: list[Contribution] = []

    @override
    def add(self, contribution: Contribution) -> None:
        self._contributions.append(contribution)

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        contributions, self._contributions = self._contributions, []
        for contribution in sorted(contributions, key=_place):
            self._fold.add(contribution)
        return self._fold.commit(current)

    @override
    def abandon(self) -> None:
        self._contributions.clear()
        self._fold.abandon()


def _place(contribution: Contribution) -> tuple[str, int, float]:
    return contribution.learner, contribution.staleness, contribution.factor
