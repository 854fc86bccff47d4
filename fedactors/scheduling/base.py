"""When learners train and when their updates are combined: the events, the commands and the interface of every protocol.

A protocol is a pure state machine: `handle(event, now) -> commands`. It holds no clock, no task and no tensor; the `Scheduler`
actor tells it what happened and carries out what it commands. One and the same machine therefore runs live, in virtual time
and under hypothesis.

    Joined ─▶ BeginRound, Train* ─▶ UpdateArrived* ─▶ Accept* ─▶ Combine ─▶ Committed ─▶ Evaluate* ─▶ EvaluationArrived* ─▶
    EndRound

Every commit is a round, and each is granted by one Proceed; what grants are there is never exceeded. A protocol that `streams`
has its learners train on across rounds: an update that arrives between two rounds, or while one is combined, waits for the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np

from fedactors.model import LearnerId, Version
from fedactors.selection.base import Candidate, Selection
from fedactors.task import EvaluationReport, Refusal, Round, TaskId, TaskKey, TrainReport

# ---------------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Joined:
    """A learner is here and can be given tasks."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Departed:
    """A learner left, or is lost: its open tasks will not be answered."""

    learner: LearnerId


@dataclass(frozen=True, slots=True)
class UpdateArrived:
    """A learner's update is here, well formed; the tensors wait with the aggregator for Accept or Refuse.

    The verdict is given at once while a round is open; an update that could count waits while none is, or while one is combined.

    Attributes:
        report: what the learner says of its training; None where nobody knows.
    """

    task: TaskId
    learner: LearnerId
    report: TrainReport | None = None


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task will not be answered although its learner is still here: its code raised, or its answer was refused."""

    task: TaskId
    learner: LearnerId
    reason: Refusal


@dataclass(frozen=True, slots=True)
class EvaluationArrived:
    """A learner has evaluated.

    Attributes:
        report: what it found; None where nobody knows.
    """

    task: TaskId
    learner: LearnerId
    report: EvaluationReport | None = None


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """A deadline that was set, and not cleared, has come."""

    key: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The commanded combination is done: this is the global model's new version."""

    round: Round
    version: Version


@dataclass(frozen=True, slots=True)
class CombineFailed:
    """The commanded combination could not be made; the global model is unchanged."""

    round: Round


@dataclass(frozen=True, slots=True)
class Proceed:
    """One more round may begin, as soon as it can.

    Attributes:
        last: it is known to be the last one, so that its result is evaluated whatever `Terms.evaluate_every` says. Where the end
            is not known beforehand, Finish has the last result evaluated after its EndRound.
    """

    last: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """No further round shall begin. A round in which `combine_open` is wished and possible is combined first, else abandoned."""

    combine_open: bool = True


@dataclass(frozen=True, slots=True)
class Unended:
    """A round was committed by a machine before this one and has not ended: its result is still to be evaluated.

    Attributes:
        cohort: whose updates it combined, or who was asked for them.
        last: no round comes after it.
    """

    round: Round
    version: Version
    cohort: tuple[LearnerId, ...]
    last: bool = False


Event: TypeAlias = (
    Joined
    | Departed
    | UpdateArrived
    | TaskFailed
    | EvaluationArrived
    | DeadlinePassed
    | Committed
    | CombineFailed
    | Proceed
    | Finish
    | Unended
)

# -------------------------------------------------------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class BeginRound:
    """A round begins with this cohort; the Train commands follow. Where learners train across rounds, the cohort is empty."""

    round: Round
    cohort: tuple[LearnerId, ...]


@dataclass(frozen=True, slots=True)
class Train:
    """Give a learner a training task on this version.

    Attributes:
        steps: batches to train on, >= 1; None: as the configuration says.
    """

    task: TaskId
    learner: LearnerId
    round: Round
    version: Version
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Give a learner an evaluation task on this version, which is the result of this round."""

    task: TaskId
    learner: LearnerId
    round: Round
    version: Version


@dataclass(frozen=True, slots=True)
class Cancel:
    """The answer to this task is not wanted any more."""

    task: TaskId
    learner: LearnerId


@dataclass(frozen=True, slots=True)
class Accept:
    """Fold this update into the open round's combination. Given at most once for a task."""

    task: TaskId
    learner: LearnerId
    staleness: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Drop this update and tell its learner why."""

    task: TaskId
    learner: LearnerId
    reason: Refusal


@dataclass(frozen=True, slots=True)
class Combine:
    """Commit a new version from every update accepted since the last commit. Answered by Committed or CombineFailed."""

    round: Round


@dataclass(frozen=True, slots=True)
class AbandonRound:
    """The round ends without a commit: drop what was accepted for it."""

    round: Round
    why: str


@dataclass(frozen=True, slots=True)
class EndRound:
    """This committed round is over: every evaluation is in, failed or given up. Given exactly once for each.

    A round that is not to be evaluated ends with its commit. If Finish then makes it the last one, its result is evaluated after
    all; those evaluations come between EndRound and Finished.
    """

    round: Round


@dataclass(frozen=True, slots=True)
class SetDeadline:
    """Send DeadlinePassed(key) at this time of the scheduler's clock; the same key set again replaces it."""

    key: str
    at_s: float


@dataclass(frozen=True, slots=True)
class ClearDeadline:
    """Forget a deadline; one that is not set is no error."""

    key: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done until something joins; said once for each cause, for people to read."""

    why: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The federation cannot make progress, for this reason; no further command follows."""

    why: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Everything that was begun is ended, as Finish asked; no further command follows."""


Command: TypeAlias = (
    BeginRound
    | Train
    | Evaluate
    | Cancel
    | Accept
    | Refuse
    | Combine
    | AbandonRound
    | EndRound
    | SetDeadline
    | ClearDeadline
    | Wait
    | GiveUp
    | Finished
)

# ------------------------------------------------------------------------------------------------------------- interface


@dataclass(frozen=True, slots=True)
class Terms:
    """What every protocol is told of the federation it schedules.

    Attributes:
        selection: who takes part.
        seed: of the run; selection draws from (seed, round) alone.
        min_learners: learners that must be here before the first round begins, >= 1; a later round begins with one.
        min_always: a later round needs as many.
        selection_seed: takes the place of `seed` in selection, where nobody shall know who is drawn.
        evaluate_every: evaluate the result of every k-th round (and of the last); 0: never.
        evaluate_timeout_s: how long an evaluation is waited for, seconds > 0; None: as long as its learner is here.
        version: the global model's version that the next round starts from.
        first_round: the number of the next round, from 1.
        tasks: yields task ids that were never used before in this federation.
        given: tasks of a machine before this one that nobody has answered; one that is given again keeps its id, so that an
            answer that is under way is known.
    """

    selection: Selection
    seed: int
    tasks: Iterator[TaskId]
    min_learners: int = 1
    evaluate_every: int = 1
    evaluate_timeout_s: float | None = None
    version: Version = 0
    first_round: Round = 1
    given: Mapping[TaskKey, TaskId] = field(default_factory=dict)
    min_always: bool = False
    selection_seed: int | None = None

    def learners_needed(self, round_: Round) -> int:
        """How many learners must be here before a round begins."""
        return self.min_learners if round_ == 1 or self.min_always else 1

    def rng(self, round_: Round, draw: int = 0) -> np.random.Generator:
        """The random generator of a round's so-manyeth draw: the same whenever the round is scheduled."""
        seed = self.seed if self.selection_seed is None else self.selection_seed
        return np.random.default_rng([seed, round_, draw] if draw else [seed, round_])


class Schedule(ABC):
    """A protocol at work: the state machine of one federation."""

    @abstractmethod
    def handle(self, event: Event, now_s: float) -> list[Command]:
        """What to do about an event. Never raises for an event that a peer could cause, in whatever order events come."""


class Protocol(ABC):
    """A scheduling protocol. Implementations are frozen dataclasses whose fields are their options.

    Attributes:
        streams: learners train across rounds. The next round is then granted at every commit, although a stop condition waits
            for an evaluation: what is committed until the evaluation is known counts too.
    """

    streams: ClassVar[bool] = False

    @abstractmethod
    def schedule(self, terms: Terms) -> Schedule:
        """A new state machine with nobody joined yet, that waits for Proceed."""


@dataclass(slots=True)
class OpenTask:
    """A task that was given and not yet answered, for the protocols' own books.

    Attributes:
        given_s: when, in seconds of the scheduler's clock.
    """

    learner: LearnerId
    round: Round
    version: Version
    train: bool = True
    given_s: float = 0.0
