"""Rounds in step: a cohort trains, its updates are combined, everybody begins again from the result.

    phase       what is outstanding         left when
    ─────       ───────────────────         ─────────
    IDLE        a grant, or learners        a round is granted and enough learners are here           ─▶ TRAINING
                                            Finish came, and evaluations are done                     ─▶ OVER
                                            too many rounds in a row were abandoned                   ─▶ OVER
    TRAINING    training tasks              enough updates are in (see `_combine_or_abandon`)         ─▶ COMBINING
                                            nobody can answer any more, and they are too few          ─▶ IDLE
    COMBINING   Committed, CombineFailed    it comes                                                  ─▶ IDLE
    OVER        nothing                     never

Evaluations of committed rounds run beside all of this; a round's evaluation may overlap the next round. Every event is first
noted in the books and then `_settle` asks what the books allow: a departure and an update are judged by the same line of code.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

import numpy as np
from typing_extensions import override

from fedactors.errors import ConfigError
from fedactors.model import LearnerId, Version
from fedactors.scheduling.base import (
    AbandonRound,
    Accept,
    BeginRound,
    Cancel,
    ClearDeadline,
    Combine,
    CombineFailed,
    Command,
    Committed,
    DeadlinePassed,
    Departed,
    EndRound,
    Evaluate,
    EvaluationArrived,
    Event,
    Finish,
    Finished,
    GiveUp,
    Joined,
    OpenTask,
    Proceed,
    Protocol,
    Refuse,
    Schedule,
    SetDeadline,
    TaskFailed,
    Terms,
    Train,
    UpdateArrived,
    Wait,
)
from fedactors.scheduling.open_tasks import OpenTasks
from fedactors.selection.base import Candidate
from fedactors.task import Refusal, Round, TaskId

LATE_TASKS_MAX = 10_000
"""Cancelled tasks that are remembered, so that their answers are refused as late; older ones are refused as unknown."""

NAMES_MAX = 5
"""Learners that a reason names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Synchronous(Protocol):
    """A round combines when every cohort member that is still here has answered, or earlier by these options.

    A round begins when it is granted and `min_updates` learners are here, the first when `min_learners` are. A cohort smaller
    than `min_updates` is filled up from the selection policy. What is not answered when a round combines is cancelled; a late
    answer is refused.

    Attributes:
        round_timeout_s: seconds > 0 after which a round combines with what it has, if that is `min_updates`, or as soon as it is;
            None: a round waits for all of its cohort.
        min_updates: updates that a round needs, >= 1.
        over_selection: share of learners asked beyond those needed, >= 0: where n are selected, ceil(n (1 + over_selection)) are
            asked and the round combines when n have answered. Without effect where selection takes everybody.
        max_failed_rounds: abandoned rounds in a row after which the federation gives up, >= 1.

    Source: McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017,
    arXiv:1602.05629; over-selection and deadlines: Bonawitz et al., Towards Federated Learning at Scale: System Design, MLSys
    2019, section 2.2, arXiv:1902.01046.
    """

    round_timeout_s: float | None = None
    min_updates: int = 1
    over_selection: float = 0.0
    max_failed_rounds: int = 3

    def __post_init__(self) -> None:
        if self.round_timeout_s is not None and not 0 < self.round_timeout_s < math.inf:
            raise ConfigError(f"round_timeout_s is {self.round_timeout_s}; give seconds above 0, or leave it out")
        if self.min_updates < 1:
            raise ConfigError(f"min_updates is {self.min_updates}; a round needs at least 1 update")
        if not 0 <= self.over_selection < math.inf:
            raise ConfigError(f"over_selection is {self.over_selection}; give a share >= 0, such as 0.3 for 30 % more learners")
        if self.max_failed_rounds < 1:
            raise ConfigError(f"max_failed_rounds is {self.max_failed_rounds}; give at least 1")

    @override
    def schedule(self, terms: Terms) -> Schedule:
        return SynchronousSchedule(self, terms)


class Phase(enum.Enum):
    """What the machine is at; the table stands at the top of this module."""

    IDLE = enum.auto()
    TRAINING = enum.auto()
    COMBINING = enum.auto()
    OVER = enum.auto()


@dataclass(slots=True)
class _Round:
    """The open round.

    Attributes:
        goal: updates that end it at once.
        deadline: its deadline's key; never that of another round or attempt.
        overdue: its deadline has passed: `min_updates` suffice.
        accepted: updates accepted.
        failures: whose task failed, with the reason.
        departures: who left with an open task.
    """

    number: Round
    cohort: tuple[LearnerId, ...]
    goal: int
    deadline: str
    overdue: bool = False
    accepted: int = 0
    failures: list[str] = field(default_factory=list)
    departures: list[str] = field(default_factory=list)

    def shortage(self, min_updates: int) -> str:
        """Why too few updates came, in words."""
        causes = [f"{what}: {_listed(who)}" for what, who in (("failed", self.failures), ("gone", self.departures)) if who]
        return f"{self.accepted} of at least {min_updates} updates came ({'; '.join(causes)})"


@dataclass(slots=True)
class _Result:
    """The round that was committed last."""

    number: Round
    version: Version
    cohort: tuple[LearnerId, ...]
    evaluated: bool = False


class SynchronousSchedule(Schedule):
    """The machine; see the top of this module."""

    def __init__(self, options: Synchronous, terms: Terms) -> None:
        self._options = options
        self._terms = terms
        self._phase = Phase.IDLE
        self._here: dict[LearnerId, Candidate] = {}
        self._tasks = OpenTasks()
        self._late: dict[TaskId, None] = {}
        self._version = terms.version
        self._next_round = terms.first_round
        self._round: _Round | None = None
        self._attempts = 0
        self._granted = 0
        self._last_granted = False
        self._finishing = False
        self._waiting = False
        self._abandoned: list[str] = []
        self._result: _Result | None = None
        self._evaluating: dict[Round, bool] = {}  # by round: whether EndRound is still to come
        self._deadlines: set[str] = set()
        self._commands: list[Command] = []
        self._now_s = 0.0

    @override
    def handle(self, event: Event, now_s: float) -> list[Command]:
        if self._phase is Phase.OVER:
            return []
        self._commands, self._now_s = [], now_s
        self._note(event)
        self._settle()
        return self._commands

    # ------------------------------------------------------------------------------------------------ one method an event

    def _note(self, event: Event) -> None:
        match event:
            case Joined(candidate):
                self._here[candidate.learner] = candidate
            case Departed(learner):
                self._departed(learner)
            case UpdateArrived(task, learner):
                self._update_arrived(task, learner)
            case TaskFailed(task, learner, reason):
                self._task_failed(task, learner, reason)
            case EvaluationArrived(task, learner):
                self._evaluation_arrived(task, learner)
            case DeadlinePassed(key):
                self._deadline_passed(key)
            case Committed(round_, version):
                self._committed(round_, version)
            case CombineFailed(round_):
                self._combine_failed(round_)
            case Proceed(last):
                self._granted += not self._finishing
                self._last_granted = last
            case Finish(combine_open):
                self._finish(combine_open=combine_open)
            case _:
                assert_never(event)

    def _departed(self, learner: LearnerId) -> None:
        self._here.pop(learner, None)
        for task in self._tasks.of_learner(learner):
            entry = self._tasks.close(task)
            if not entry.train:
                self._end_if_evaluated(entry.round)
            elif self._round is not None:
                self._round.departures.append(learner)

    def _update_arrived(self, task: TaskId, learner: LearnerId) -> None:
        entry = self._tasks.get(task)
        if entry is None or not entry.train:
            self._say(Refuse(task, learner, Refusal.LATE if task in self._late else Refusal.UNKNOWN_TASK))
        elif entry.learner != learner:
            self._say(Refuse(task, learner, Refusal.NOT_OWNER))
        else:
            assert self._round is not None, "training tasks are open in an open round only"
            self._tasks.close(task)
            self._round.accepted += 1
            self._say(Accept(task, learner, self._version - entry.version))

    def _task_failed(self, task: TaskId, learner: LearnerId, reason: Refusal) -> None:
        entry = self._tasks.get(task)
        if entry is None or entry.learner != learner:
            return
        self._tasks.close(task)
        if not entry.train:
            self._end_if_evaluated(entry.round)
        elif self._round is not None:
            self._round.failures.append(f"{learner} ({reason})")

    def _evaluation_arrived(self, task: TaskId, learner: LearnerId) -> None:
        entry = self._tasks.get(task)
        if entry is not None and entry.learner == learner and not entry.train:
            self._tasks.close(task)
            self._end_if_evaluated(entry.round)

    def _deadline_passed(self, key: str) -> None:
        if key not in self._deadlines:  # it was cleared while this event was under way
            return
        self._deadlines.remove(key)
        if self._round is not None and key == self._round.deadline:
            self._round.overdue = True
            return
        for round_ in self._evaluating:
            if key == _evaluation_deadline(round_):
                self._cancel(round_, train=False)
                self._end_if_evaluated(round_)
                return

    def _committed(self, round_: Round, version: Version) -> None:
        done = self._combined(round_)
        self._version = version
        self._next_round = round_ + 1
        self._abandoned.clear()
        self._result = _Result(round_, version, done.cohort)
        every = self._terms.evaluate_every
        is_last = self._finishing or (self._last_granted and not self._granted)
        if every and (round_ % every == 0 or is_last):
            self._evaluate(self._result, end_due=True)
        else:
            self._say(EndRound(round_))

    def _combine_failed(self, round_: Round) -> None:
        self._combined(round_)
        self._abandon(round_, "its updates could not be combined", counts=True)

    def _finish(self, *, combine_open: bool) -> None:
        self._finishing = True
        self._granted = 0
        if self._phase is Phase.TRAINING:
            assert self._round is not None
            if combine_open and self._round.accepted >= self._options.min_updates:
                self._combine()
            else:
                self._close_training(self._round)
                self._abandon(self._round.number, "the federation is finishing", counts=False)

    # ------------------------------------------------------------------------------------- what the books allow, in order

    def _settle(self) -> None:
        if self._phase is Phase.TRAINING:
            self._combine_or_abandon()
        if self._phase is Phase.IDLE and self._granted:
            self._begin_or_wait()
        if self._phase is Phase.IDLE and self._finishing:
            self._wind_up()

    def _combine_or_abandon(self) -> None:
        assert self._round is not None
        answered = not self._tasks.any_of_round(self._round.number, train=True)
        if self._round.accepted < self._options.min_updates:
            if answered:
                self._close_training(self._round)
                counts = bool(self._round.failures or self._here)
                self._abandon(self._round.number, self._round.shortage(self._options.min_updates), counts=counts)
        elif answered or self._round.overdue or self._round.accepted >= self._round.goal:
            self._combine()

    def _begin_or_wait(self) -> None:
        needed = max(self._terms.learners_needed(self._next_round), self._options.min_updates)
        if len(self._here) >= needed:
            self._begin()
        elif not self._waiting:
            self._waiting = True
            self._say(Wait(f"round {self._next_round} needs {needed} learners; {len(self._here)} are here"))

    def _begin(self) -> None:
        candidates = [self._here[learner] for learner in sorted(self._here)]
        number = self._next_round
        cohort, goal = self._cohort(candidates, number, self._terms.rng(number))
        self._phase = Phase.TRAINING
        self._granted -= 1
        self._waiting = False
        self._attempts += 1
        self._round = _Round(number, cohort, goal, deadline=f"round-{number}-attempt-{self._attempts}")
        self._say(BeginRound(number, cohort))
        for learner in cohort:
            task = next(self._terms.tasks)
            self._tasks.open(task, OpenTask(learner, number, self._version))
            self._say(Train(task, learner, number, self._version))
        self._set_deadline(self._round.deadline, self._options.round_timeout_s)

    def _wind_up(self) -> None:
        if self._result is not None and not self._result.evaluated and self._terms.evaluate_every:
            self._evaluate(self._result, end_due=False)
        if not self._evaluating:
            self._say(Finished())
            self._phase = Phase.OVER

    # ------------------------------------------------------------------------------------------------------------- rounds

    def _cohort(
        self, candidates: Sequence[Candidate], round_: Round, rng: np.random.Generator
    ) -> tuple[tuple[LearnerId, ...], int]:
        """Whom to ask, and how many answers suffice."""
        cohort = self._terms.selection.select(candidates, round_, rng)
        goal = max(len(cohort), self._options.min_updates)
        asked = math.ceil(round(goal * (1 + self._options.over_selection), 9))  # 1.1 * 10 is 11.000000000000002
        asked = min(asked, len(candidates))
        while len(cohort) < asked:
            chosen = frozenset(cohort)
            rest = [candidate for candidate in candidates if candidate.learner not in chosen]
            more = self._terms.selection.select(rest, round_, rng)
            assert more, "selection policies pick at least one"
            drawn = rng.permutation(len(more)).tolist()[: asked - len(cohort)]
            cohort = [*cohort, *(more[index] for index in sorted(drawn))]
        return tuple(cohort), goal

    def _combine(self) -> None:
        assert self._round is not None
        self._close_training(self._round)
        self._phase = Phase.COMBINING
        self._say(Combine(self._round.number))

    def _combined(self, round_: Round) -> _Round:
        """The round whose combination was answered; it is not open any more."""
        done = self._round
        assert self._phase is Phase.COMBINING, f"round {round_} was combined, but no Combine is outstanding"
        assert done is not None
        assert done.number == round_, f"round {round_} was combined, but Combine was given for round {done.number}"
        self._phase = Phase.IDLE
        self._round = None
        return done

    def _close_training(self, round_: _Round) -> None:
        self._clear_deadline(round_.deadline)
        for task in self._cancel(round_.number, train=True):
            self._late[task] = None
        while len(self._late) > LATE_TASKS_MAX:
            del self._late[next(iter(self._late))]

    def _abandon(self, round_: Round, why: str, *, counts: bool) -> None:
        self._phase = Phase.IDLE
        self._round = None
        self._say(AbandonRound(round_, why))
        if self._finishing:
            return
        self._granted += 1
        if counts:
            self._abandoned.append(why)
        if len(self._abandoned) >= self._options.max_failed_rounds:
            self._give_up(round_)

    def _give_up(self, round_: Round) -> None:
        for evaluated in list(self._evaluating):
            self._cancel(evaluated, train=False)
            self._end_if_evaluated(evaluated)
        attempts = "; ".join(f"attempt {number}: {why}" for number, why in enumerate(self._abandoned, 1))
        self._say(GiveUp(f"round {round_} was abandoned {len(self._abandoned)} times in a row: {attempts}"))
        self._phase = Phase.OVER

    # -------------------------------------------------------------------------------------------------------- evaluations

    def _evaluate(self, result: _Result, *, end_due: bool) -> None:
        """Give the result to the cohort members that are still here; end the round at once where there is none."""
        result.evaluated = True
        self._evaluating[result.number] = end_due
        for learner in result.cohort:
            if learner in self._here:
                task = next(self._terms.tasks)
                self._tasks.open(task, OpenTask(learner, result.number, result.version, train=False))
                self._say(Evaluate(task, learner, result.number, result.version))
        if self._tasks.any_of_round(result.number, train=False):
            self._set_deadline(_evaluation_deadline(result.number), self._terms.evaluate_timeout_s)
        self._end_if_evaluated(result.number)

    def _end_if_evaluated(self, round_: Round) -> None:
        if self._tasks.any_of_round(round_, train=False):
            return
        self._clear_deadline(_evaluation_deadline(round_))
        if self._evaluating.pop(round_):
            self._say(EndRound(round_))

    # ------------------------------------------------------------------------------------------------------ small commands

    def _say(self, command: Command) -> None:
        self._commands.append(command)

    def _cancel(self, round_: Round, *, train: bool) -> list[TaskId]:
        tasks = self._tasks.of_round(round_, train=train)
        for task in tasks:
            self._say(Cancel(task, self._tasks.close(task).learner))
        return tasks

    def _set_deadline(self, key: str, timeout_s: float | None) -> None:
        if timeout_s is not None:
            self._deadlines.add(key)
            self._say(SetDeadline(key, self._now_s + timeout_s))

    def _clear_deadline(self, key: str) -> None:
        if key in self._deadlines:
            self._deadlines.remove(key)
            self._say(ClearDeadline(key))


def _evaluation_deadline(round_: Round) -> str:
    return f"evaluation-{round_}"


def _listed(names: Sequence[str]) -> str:
    """The first few, and how many more."""
    rest = len(names) - NAMES_MAX
    return ", ".join(names[:NAMES_MAX]) + (f" and {rest} more" if rest > 0 else "")
