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

Where late updates are kept, the tasks that a round leaves behind stay open for the next one, which does not wait for them; their
learners are not in its cohort. A kept update that arrives between rounds waits; what the next round does not get is cancelled.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, assert_never

from typing_extensions import override

from fedactors.errors import ConfigError
from fedactors.model import LearnerId, Version
from fedactors.scheduling.base import (
    AbandonRound,
    BeginRound,
    Combine,
    CombineFailed,
    Command,
    Committed,
    DeadlinePassed,
    Departed,
    EndRound,
    EvaluationArrived,
    Event,
    Finish,
    Finished,
    GiveUp,
    Joined,
    Proceed,
    Schedule,
    TaskFailed,
    Terms,
    Unended,
    UpdateArrived,
    Wait,
)
from fedactors.scheduling.books import Books
from fedactors.scheduling.cohort import filled
from fedactors.scheduling.evaluations import Evaluations, Result
from fedactors.selection.base import Candidate
from fedactors.task import Round

NAMES_MAX = 5
"""Learners that a reason names; the rest is counted."""

LateUpdates: TypeAlias = Literal["refuse", "keep"]


@dataclass(frozen=True, slots=True)
class RoundRules:
    """The options that every protocol in rounds has; `Synchronous` documents them."""

    round_timeout_s: float | None
    min_updates: int
    over_selection: float
    max_failed_rounds: int
    late_updates: LateUpdates

    def __post_init__(self) -> None:
        if self.round_timeout_s is not None and not 0 < self.round_timeout_s < math.inf:
            raise ConfigError(f"round_timeout_s is {self.round_timeout_s}; give seconds above 0, or leave it out")
        if self.min_updates < 1:
            raise ConfigError(f"min_updates is {self.min_updates}; a round needs at least 1 update")
        if not 0 <= self.over_selection < math.inf:
            raise ConfigError(f"over_selection is {self.over_selection}; give a share >= 0, such as 0.3 for 30 % more learners")
        if self.max_failed_rounds < 1:
            raise ConfigError(f"max_failed_rounds is {self.max_failed_rounds}; give at least 1")
        if self.late_updates not in {"refuse", "keep"}:
            raise ConfigError(f"late_updates is {self.late_updates!r}; it is 'refuse' or 'keep'")


class Pace(Protocol):
    """How long each member of a cohort shall train."""

    def steps(self, cohort: Sequence[Candidate]) -> dict[LearnerId, int]:
        """Batches to train on, by learner; who is left out trains as the configuration says."""


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
        goal: updates of its cohort that end it at once.
        deadline: its deadline's key; never that of another round or attempt.
        overdue: its deadline has passed: `min_updates` suffice.
        accepted: updates accepted.
        fresh: those of its cohort among them.
        failures: whose task failed, with the reason.
        departures: who left with an open task.
    """

    number: Round
    cohort: tuple[LearnerId, ...]
    goal: int
    deadline: str
    overdue: bool = False
    accepted: int = 0
    fresh: int = 0
    failures: list[str] = field(default_factory=list)
    departures: list[str] = field(default_factory=list)

    def shortage(self, min_updates: int) -> str:
        """Why too few updates came, in words."""
        causes = [
            f"{what}: {_listed(sorted(who))}" for what, who in (("failed", self.failures), ("gone", self.departures)) if who
        ]
        return f"{self.accepted} of at least {min_updates} updates came ({'; '.join(causes)})"


class RoundsSchedule(Schedule):
    """The machine; see the top of this module."""

    def __init__(self, rules: RoundRules, terms: Terms, pace: Pace | None = None) -> None:
        self._rules = rules
        self._terms = terms
        self._pace = pace
        self._books = Books(terms)
        self._evaluations = Evaluations(self._books, terms)
        self._phase = Phase.IDLE
        self._next_round = terms.first_round
        self._round: _Round | None = None
        self._kept: Round | None = None
        self._attempts = 0
        self._granted = 0
        self._last_granted = False
        self._finishing = False
        self._said = ""
        self._abandoned: list[str] = []
        self._result: Result | None = None

    @override
    def handle(self, event: Event, now_s: float) -> list[Command]:
        if self._phase is Phase.OVER:
            return []
        self._books.listen(now_s)
        self._note(event)
        self._settle()
        return self._books.commands

    # ------------------------------------------------------------------------------------------------ one method an event

    def _note(self, event: Event) -> None:
        match event:
            case Joined(candidate):
                self._books.join(candidate)
            case Departed(learner):
                self._departed(learner)
            case UpdateArrived():
                self._books.arrive(event)
            case TaskFailed():
                self._task_failed(event)
            case EvaluationArrived():
                if (entry := self._books.evaluated(event)) is not None:
                    self._evaluations.settle(entry.round)
            case DeadlinePassed(key):
                if self._books.passed(key) and not self._evaluations.overdue(key):
                    self._overdue(key)
            case Committed(round_, version):
                self._committed(round_, version)
            case CombineFailed(round_):
                self._combined(round_)
                self._abandon(round_, "its updates could not be combined", counts=True)
            case Proceed(last):
                self._granted += not self._finishing
                self._last_granted = last
            case Finish(combine_open):
                self._finish(combine_open=combine_open)
            case Unended():
                self._result = Result(event.round, event.version, event.cohort)
                self._evaluations.begin_again(self._result, event.cohort, is_last=event.last)
            case _:
                assert_never(event)

    def _departed(self, learner: LearnerId) -> None:
        for entry in self._books.depart(learner):
            if not entry.train:
                self._evaluations.settle(entry.round)
            elif self._round is not None and self._round.number == entry.round:
                self._round.departures.append(learner)

    def _task_failed(self, event: TaskFailed) -> None:
        entry = self._books.fail(event)
        if entry is None:
            return
        if not entry.train:
            self._evaluations.settle(entry.round)
        elif self._round is not None and self._round.number == entry.round:
            self._round.failures.append(f"{event.learner} ({event.reason})")

    def _overdue(self, key: str) -> None:
        if self._round is not None and key == self._round.deadline:
            self._round.overdue = True

    def _committed(self, round_: Round, version: Version) -> None:
        done = self._combined(round_)
        self._books.version = version
        self._next_round = round_ + 1
        self._abandoned.clear()
        self._result = Result(round_, version, done.cohort)
        is_last = self._finishing or (self._last_granted and not self._granted)
        if self._evaluations.is_due(round_, is_last=is_last):
            self._evaluations.begin(self._result, done.cohort)
        else:
            self._books.say(EndRound(round_))

    def _finish(self, *, combine_open: bool) -> None:
        self._finishing = True
        self._granted = 0
        self._drop_kept()
        if self._round is None or self._phase is not Phase.TRAINING:
            return
        if combine_open and self._round.accepted >= self._rules.min_updates:
            self._combine()
        else:
            self._abandon(self._round.number, "the federation is finishing", counts=False)

    # ------------------------------------------------------------------------------------- what the books allow, in order

    def _settle(self) -> None:
        if self._phase is Phase.TRAINING:
            self._accept_waiting()
            self._combine_or_abandon()
        if self._phase is Phase.IDLE and self._granted:
            self._begin_or_wait()
        if self._phase is Phase.IDLE and self._finishing:
            self._wind_up()

    def _accept_waiting(self) -> None:
        assert self._round is not None
        while self._books.waiting:
            entry = self._books.accept(next(iter(self._books.waiting)))
            self._round.accepted += 1
            self._round.fresh += entry.round == self._round.number

    def _combine_or_abandon(self) -> None:
        assert self._round is not None
        answered = not self._books.tasks.any_of_round(self._round.number, train=True)
        if self._round.accepted < self._rules.min_updates:
            if answered:
                counts = bool(self._round.failures or self._books.here)
                self._abandon(self._round.number, self._round.shortage(self._rules.min_updates), counts=counts)
        elif answered or self._round.overdue or self._round.fresh >= self._round.goal:
            self._combine()

    def _begin_or_wait(self) -> None:
        needed = max(self._terms.learners_needed(self._next_round), self._rules.min_updates)
        if len(self._books.here) < needed:
            self._wait(f"round {self._next_round} needs {needed} learners; {len(self._books.here)} are here")
            return
        candidates = self._candidates(needed)
        cohort, goal = self._cohort(candidates)
        if cohort and len(cohort) >= self._rules.min_updates:
            self._begin(cohort, goal)
        else:
            said = f"the selection policy takes {len(cohort)} of the {len(candidates)} learners that are free"
            self._wait(f"round {self._next_round} needs {self._rules.min_updates} learners; {said}")

    def _wait(self, why: str) -> None:
        if not self._said:
            self._said = why
            self._books.say(Wait(why))

    def _begin(self, cohort: list[LearnerId], goal: int) -> None:
        number = self._next_round
        self._phase = Phase.TRAINING
        self._granted -= 1
        self._said = ""
        self._attempts += 1
        self._round = _Round(number, tuple(cohort), goal, deadline=f"round-{number}-attempt-{self._attempts}")
        self._books.say(BeginRound(number, self._round.cohort))
        self._accept_waiting()
        members = [self._books.here[learner] for learner in cohort]
        steps = self._pace.steps(members) if self._pace is not None else {}
        for learner in cohort:
            self._books.train(learner, number, steps.get(learner))
        self._books.set_deadline(self._round.deadline, self._rules.round_timeout_s)

    def _wind_up(self) -> None:
        self._evaluations.begin_last(self._result, self._result.cohort if self._result else ())
        if not self._evaluations.any_open:
            self._over(Finished())

    # ------------------------------------------------------------------------------------------------------------- rounds

    def _candidates(self, needed: int) -> list[Candidate]:
        """Who can be in the next cohort. Late learners are not waited for, and given up where too few others are here."""
        here, tasks = self._books.here, self._books.tasks
        late = [task for task in tasks.training if task not in self._books.waiting]
        if len(here) - len(late) < needed:
            self._drop_kept(waiting=False)
            late = []
        busy = {entry.learner for entry in map(tasks.get, late) if entry is not None}
        return [here[learner] for learner in sorted(here) if learner not in busy]

    def _cohort(self, candidates: Sequence[Candidate]) -> tuple[list[LearnerId], int]:
        """Whom to ask, and how many answers suffice."""
        round_, selection = self._next_round, self._terms.selection
        rng = self._terms.rng(round_)
        cohort = selection.select(candidates, round_, rng)
        goal = max(len(cohort), self._rules.min_updates)
        asked = math.ceil(round(goal * (1 + self._rules.over_selection), 9))  # 1.1 * 10 is 11.000000000000002
        if cohort and asked > len(cohort):
            chosen = frozenset(cohort)
            rest = [candidate for candidate in candidates if candidate.learner not in chosen]
            cohort = [*cohort, *filled(selection, rest, asked - len(cohort), round_, rng)]
        return cohort, goal

    def _combine(self) -> None:
        assert self._round is not None
        self._books.clear_deadline(self._round.deadline)
        self._drop_kept()
        if self._rules.late_updates == "keep" and not self._finishing:
            self._kept = self._round.number
        else:
            self._drop(self._round.number)
        self._phase = Phase.COMBINING
        self._books.say(Combine(self._round.number))

    def _combined(self, round_: Round) -> _Round:
        """The round whose combination was answered; it is not open any more."""
        done = self._round
        assert self._phase is Phase.COMBINING, f"round {round_} was combined, but no Combine is outstanding"
        assert done is not None
        assert done.number == round_, f"round {round_} was combined, but Combine was given for round {done.number}"
        self._phase = Phase.IDLE
        self._round = None
        return done

    def _drop(self, round_: Round, *, waiting: bool = True) -> None:
        for task in self._books.tasks.of_round(round_, train=True):
            if waiting or task not in self._books.waiting:
                self._books.drop(task)

    def _drop_kept(self, *, waiting: bool = True) -> None:
        """Give up what earlier rounds left behind."""
        if self._kept is not None:
            self._drop(self._kept, waiting=waiting)
        if waiting:
            self._kept = None

    def _abandon(self, round_: Round, why: str, *, counts: bool) -> None:
        if self._round is not None:
            self._books.clear_deadline(self._round.deadline)
        self._drop(round_)
        self._kept = None if self._kept == round_ else self._kept
        self._phase = Phase.IDLE
        self._round = None
        self._books.say(AbandonRound(round_, why))
        if self._finishing:
            return
        self._granted += 1
        if counts:
            self._abandoned.append(why)
        if len(self._abandoned) >= self._rules.max_failed_rounds:
            self._give_up(round_)

    def _give_up(self, round_: Round) -> None:
        self._drop_kept()
        self._evaluations.give_up()
        self._over(GiveUp(f"round {round_} was abandoned{_told(self._abandoned)}"))

    def _over(self, last_word: Finished | GiveUp) -> None:
        self._books.say(last_word)
        self._phase = Phase.OVER


def _told(attempts: Sequence[str]) -> str:
    """Why each attempt came to nothing; what was the same each time, once."""
    if len(attempts) == 1:
        return f": {attempts[0]}"
    times = f" {len(attempts)} times in a row"
    if len(set(attempts)) == 1:
        return f"{times}, each time: {attempts[0]}"
    return f"{times}: " + "; ".join(f"attempt {number}: {why}" for number, why in enumerate(attempts, 1))


def _listed(names: Sequence[str]) -> str:
    """The first few, and how many more."""
    rest = len(names) - NAMES_MAX
    return ", ".join(names[:NAMES_MAX]) + (f" and {rest} more" if rest > 0 else "")
