"""Rules around another rule: what they do not say themselves, the inner one says."""

from __future__ import annotations

from typing_extensions import override

from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.state import FoldState
from fedactors.model import Buffer, GlobalModel, LearnerId
from fedactors.task import TrainReport


class Wrapping(Rule):
    """A rule around a rule.

    Attributes:
        rule: the rule that combines.
    """

    rule: Rule

    @property
    def keeps_updates(self) -> bool:  # type: ignore[override]  # as the rule that combines
        """As the rule that combines."""
        return self.rule.keeps_updates

    @property
    def needs_base(self) -> bool:  # type: ignore[override]  # as the rule that combines
        """As the rule that combines."""
        return self.rule.needs_base

    @property
    @override
    def updates_min(self) -> int:
        return self.rule.updates_min

    @override
    def check(self, report: TrainReport) -> None:
        self.rule.check(report)


class WrappingFold(Fold):
    """A fold around a fold."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold

    @override
    def add(self, contribution: Contribution) -> None:
        self._fold.add(contribution)

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        return self._fold.commit(current)

    @override
    def abandon(self) -> None:
        self._fold.abandon()

    @override
    def forget(self, learner: LearnerId) -> None:
        self._fold.forget(learner)

    @override
    def state(self) -> FoldState:
        return self._fold.state()

    @override
    def restore(self, state: FoldState) -> None:
        self._fold.restore(state)
