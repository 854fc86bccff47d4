"""How updates become a new global model: the interface of every aggregation rule.

A `Rule` is its options; `rule.fold(layout)` is a `Fold`, the rule at work on one federation's model. A round is any number of
`add`s and one `commit` (or `abandon`). A rule that can fold holds O(1) models however many updates are added.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from fedactors.aggregation.state import STATELESS, FoldState
from fedactors.errors import ModelError
from fedactors.model import Buffer, GlobalModel, Layout, LearnerId
from fedactors.task import TrainReport


def _no_report() -> TrainReport:
    return TrainReport(0)


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """One accepted update, as a rule sees it.

    Attributes:
        learner: who sent it.
        buffer: uint8[layout.nbytes], the learner's new weights; read-only for the rule, not kept after `add` returns
            unless the rule says that it keeps updates (`Rule.keeps_updates`) or its fold that it holds this one (`Fold.holds`).
        factor: >= 0, its share before normalisation: weighting times staleness discount.
        staleness: current version minus its base, >= 0.
        discount: in (0, 1], the staleness discount that is in the factor.
        report: what the learner says of its training.
        base: uint8[layout.nbytes], the weights that training started from, never written to again; None where the rule does
            not need it.
    """

    learner: LearnerId
    buffer: Buffer
    factor: float
    staleness: int = 0
    discount: float = 1.0
    report: TrainReport = field(default_factory=_no_report)
    base: Buffer | None = None


class Fold(ABC):
    """A rule at work: the accumulator of the open round and whatever the rule keeps from round to round."""

    @abstractmethod
    def add(self, contribution: Contribution) -> None:
        """Take one update into the open round. May run off the event loop; never two calls at once."""

    def holds(self, buffer: Buffer) -> bool:  # noqa: ARG002  # most rules hold none
        """Whether an update that was added is still read: its buffer must not change until this is False, or the round closed.

        For a rule that keeps no updates, but is quicker with a few at once: a named and documented number. A fold that hands its
        updates on to such a one has to ask it.
        """
        return False

    @abstractmethod
    def commit(self, current: GlobalModel) -> Buffer:
        """The next version's buffer (a new one, uint8[layout.nbytes]) from the updates added; the round is closed.

        Raises:
            ModelError: nothing was added, or the factors sum to zero; the message names the learners. The round is closed too.
        """

    def commit_with(self, contributions: Sequence[Contribution], current: GlobalModel) -> Buffer:
        """`add` for each contribution, then `commit`, bit by bit; a rule overrides it that can do better with all at once.

        Raises:
            ModelError: as commit does.
        """
        for contribution in contributions:
            self.add(contribution)
        return self.commit(current)

    @abstractmethod
    def abandon(self) -> None:
        """Close the round as if nothing had been added."""

    def forget(self, learner: LearnerId) -> None:  # noqa: B027  # most rules have nothing to forget
        """A learner has left: what is kept of it from round to round counts no more. The open round keeps its update."""

    def state(self) -> FoldState:
        """What is kept from round to round; asked for between two rounds. Empty where each round begins anew."""
        return STATELESS

    def restore(self, state: FoldState) -> None:
        """Have a fold that was just made go on where the one went on that gave this state, bit by bit.

        Raises:
            ModelError: it is not a state of this rule on this layout; the fold is of no use any more.
        """
        if state:
            raise ModelError("this rule keeps nothing from round to round, and something was kept")


class Rule(ABC):
    """An aggregation rule. Implementations are frozen dataclasses whose fields are their options."""

    keeps_updates: ClassVar[bool] = False
    """True where a round holds every update until commit; False where updates are folded as they come, in O(1) models."""

    needs_base: ClassVar[bool] = False
    """True where a contribution must bring its base."""

    weighs: ClassVar[bool] = True
    """False where a factor only says whether an update counts: 0, or not."""

    discounts: ClassVar[bool] = True
    """False where staleness makes no difference to what an update counts."""

    across_rounds: ClassVar[bool] = False
    """True where the result is more than a combination of the round's updates, so that no server optimiser can step along it."""

    exact: ClassVar[bool] = False
    """True where the same updates give the same bits in whatever order they come."""

    elementwise: ClassVar[bool] = False
    """True where each parameter's result depends on that parameter's values and on numbers of the updates (factors, reports), and
    nothing but arrays is kept from round to round: such a rule may work on a shard of the model, and give the same bits."""

    variates: ClassVar[bool] = False
    """True where models hold control variates, as in `fedactors.variates`; tensors without them are combined all the same."""

    @property
    def updates_min(self) -> int:
        """Updates that a round must have; with fewer, commit raises ModelError."""
        return 1

    def check(self, report: TrainReport) -> None:  # noqa: B027  # most rules can combine whatever was reported
        """See that an update with this report can be combined; one that cannot is refused, and its learner is told.

        Raises:
            ModelError: it cannot; the message says what the learner should report.
        """

    @abstractmethod
    def fold(self, layout: Layout) -> Fold:
        """The rule at work on models of this layout."""
