"""How updates become a new global model: the interface of every aggregation rule.

A `Rule` is its options; `rule.fold(layout)` is a `Fold`, the rule at work on one federation's model. A round is any number of
`add`s and one `commit` (or `abandon`). A rule that can fold holds O(1) models however many updates are added.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from fedactors.model import Buffer, GlobalModel, Layout, LearnerId


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """One accepted update, as a rule sees it.

    Attributes:
        learner: who sent it.
        buffer: uint8[layout.nbytes], the learner's new weights; read-only for the rule, not kept after `add` returns
            unless the rule says that it keeps updates (`Rule.keeps_updates`).
        factor: >= 0, its share before normalisation: weighting times staleness discount.
        staleness: current version minus its base, >= 0.
    """

    learner: LearnerId
    buffer: Buffer
    factor: float
    staleness: int = 0


class Fold(ABC):
    """A rule at work: the accumulator of the open round and whatever the rule keeps from round to round."""

    @abstractmethod
    def add(self, contribution: Contribution) -> None:
        """Take one update into the open round. May run off the event loop; never two calls at once."""

    @abstractmethod
    def commit(self, current: GlobalModel) -> Buffer:
        """The next version's buffer (a new one, uint8[layout.nbytes]) from the updates added; the round is closed.

        Raises:
            ModelError: nothing was added, or the factors sum to zero; the message names the learners. The round is closed too.
        """

    @abstractmethod
    def abandon(self) -> None:
        """Close the round as if nothing had been added."""


class Rule(ABC):
    """An aggregation rule. Implementations are frozen dataclasses whose fields are their options."""

    keeps_updates: ClassVar[bool] = False
    """True where a round holds every update until commit; False where updates are folded as they come, in O(1) models."""

    @abstractmethod
    def fold(self, layout: Layout) -> Fold:
        """The rule at work on models of this layout."""
