"""What a relay's controlling actor and its aggregator are told beside what every federation's are, on one page.

desk ──InitialiseChildren, TrainChildren, EvaluateChildren, CallOff, GetChildren──▶ RelayController
RelayController ──ReplaceModels──▶ ModelStore
RelayController ──BeginTraining (with the parent's plan), GrantRound, EvaluateAgain──▶ Scheduler
RelayController ──Adopt──▶ RelayAggregator ──Summed──▶ RelayController
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from fedactors.actors.messages import ToAggregator, ToController
from fedactors.model import Buffer, GlobalModel
from fedactors.runtime import Request
from fedactors.task import EvaluateParams, EvaluationReport, Round, TaskId, TrainParams, TrainReport


@dataclass(frozen=True, slots=True)
class Children:
    """Who would take part now, taken together.

    Attributes:
        num_train_examples: that they declare.
        num_test_examples: that they declare.
        tags: that any of them has.
    """

    num_train_examples: int
    num_test_examples: int
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Summed:
    """The children's updates of a round in one.

    Attributes:
        round: which.
        buffer: uint8[layout.nbytes], their weighted mean.
        report: stands for theirs.
    """

    round: Round
    buffer: Buffer
    report: TrainReport


# --------------------------------------------------------------------------------------------------------- to the RelayController


@dataclass(frozen=True, slots=True)
class GetChildren(Request[Children]):
    """Who is there; answered once they are so many.

    Attributes:
        at_least: >= 1.
    """

    at_least: int


@dataclass(frozen=True, slots=True)
class InitialiseChildren(Request[GlobalModel]):
    """The weights that a child starts from. Rejected where none gives any.

    Attributes:
        task: of the parent's.
    """

    task: TaskId


@dataclass(frozen=True, slots=True, eq=False)
class TrainChildren(Request[Summed]):
    """One round among the children. Rejected, with the reason, where it comes to nothing.

    Attributes:
        task: of the parent's.
        model: the version that they train from; the same object for the same version.
        params: of the parent's task; the children are given seeds of their own.
    """

    task: TaskId
    model: GlobalModel
    params: TrainParams


@dataclass(frozen=True, slots=True, eq=False)
class EvaluateChildren(Request[EvaluationReport]):
    """What the children say of a version, taken together. Rejected where none of them says anything."""

    task: TaskId
    model: GlobalModel
    params: EvaluateParams


@dataclass(frozen=True, slots=True)
class CallOff:
    """What this task of the parent's asked for is not wanted any more; nothing, if something else is at work by now."""

    task: TaskId
    why: str


ToRelayController: TypeAlias = (
    ToController | GetChildren | InitialiseChildren | TrainChildren | EvaluateChildren | CallOff | Summed
)

# --------------------------------------------------------------------------------------------------------- to the RelayAggregator


@dataclass(frozen=True, slots=True)
class Adopt:
    """Go on from this version, which was made elsewhere, and forget what was begun."""

    model: GlobalModel


ToRelayAggregator: TypeAlias = ToAggregator | Adopt
