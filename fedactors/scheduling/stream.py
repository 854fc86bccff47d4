"""Learners train without a break; whatever they send is combined as soon as there is enough of it.

    phase       what is outstanding              left when
    ─────       ───────────────────              ─────────
    IDLE        a grant, or learners             a round is granted and somebody trains or can           ─▶ OPEN
                                                 Finish came, and evaluations are done                   ─▶ OVER
                                                 nobody can be given a task any more, by its failures    ─▶ OVER
    OPEN        training tasks, of any round     enough updates are accepted                             ─▶ COMBINING
                                                 nobody can answer any more, and none came               ─▶ IDLE
    COMBINING   Committed, CombineFailed         it comes                                                ─▶ IDLE
    OVER        nothing                          never

Every commit is a round. Training tasks outlive the round that they were given in; an update that arrives while no round is open
waits for the next one, so that there are never more commits than grants, and a pause holds back updates, not learners' work.

A learner is idle, or has one training task, or rests because its tasks have failed too often in a row.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never

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
    OpenTask,
    Proceed,
    Schedule,
    TaskFailed,
    Terms,
    Unended,
    UpdateArrived,
    Wait,
)
from fedactors.scheduling.books import Books, task_deadline
from fedactors.scheduling.evaluations import Evaluations, Result
from fedactors.scheduling.idle import IdleLearners
from fedactors.selection.pool import Urn
from fedactors.task import Refusal, Round, TaskId

WhenStale: TypeAlias = Literal["refuse", "wait"]


@dataclass(frozen=True, slots=True)
class StreamRules:
    """The options that every protocol without rounds in step has; `Asynchronous` documents them.

    Attributes:
        updates: accepted updates that make a version, >= 1.
    """

    updates: int
    max_staleness: int | None
    when_stale: WhenStale
    concurrency: int | None
    task_timeout_s: float | None
    evaluators: int | None
    max_failed_tasks: int
    max_failed_rounds: int

    def __post_init__(self) -> None:
        for name, least in (
            ("updates", 1),
            ("concurrency", 1),
            ("evaluators", 1),
            ("max_failed_tasks", 1),
            ("max_failed_rounds", 1),
        ):
            if (value := getattr(self, name)) is not None and value < least:
                raise ConfigError(f"{name} is {value}; give at least {least}")
        if self.max_staleness is not None and self.max_staleness < 0:
            raise ConfigError(f"max_staleness is {self.max_staleness}; give at least 0, or leave it out")
        if self.when_stale not in {"refuse", "wait"}:
            raise ConfigError(f"when_stale is {self.when_stale!r}; it is 'refuse' or 'wait'")
        if self.task_timeout_s is not None and not 0 < self.task_timeout_s < math.inf:
            raise ConfigError(f"task_timeout_s is {self.task_timeout_s}; give seconds above 0, or leave it out")


class Phase(enum.Enum):
    """What the machine is at; the table stands at the top of this module."""

    IDLE = enum.auto()
    OPEN = enum.auto()
    COMBINING = enum.auto()
    OVER = enum.auto()


@dataclass(slots=True)
class _Round:
    """The open round.

    Attributes:
        givers: whose updates it has accepted, in order.
        accepted: how many these are; a learner may give several.
    """

    number: Round
    givers: dict[LearnerId, None] = field(default_factory=dict)
    accepted: int = 0


class StreamSchedule(Schedule):
    """The machine; see the top of this module."""

    def __init__(self, rules: StreamRules, terms: Terms) -> None:
        self._rules = rules
        self._terms = terms
        self._books = Books(terms)
        self._evaluations = Evaluations(self._books, terms)
        self._idle = IdleLearners(self._books, terms, rules.concurrency)
        self._everybody = Urn()
        self._phase = Phase.IDLE
        self._round: _Round | None = None
        self._next_round = terms.first_round
        self._failures: dict[LearnerId, int] = {}
        self._task_of: dict[str, TaskId] = {}
        self._granted = 0
        self._last_granted = False
        self._finishing = False
        self._said = ""
        self._failed_rounds = 0
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
                self._failures.pop(candidate.learner, None)
                self._everybody.put(candidate.learner)
                self._idle.joined(candidate.learner)
            case Departed(learner):
                self._departed(learner)
            case UpdateArrived():
                self._books.arrive(event)
            case TaskFailed():
                if (entry := self._books.fail(event)) is not None:
                    self._task_failed(entry, event.task)
            case EvaluationArrived():
                if (entry := self._books.evaluated(event)) is not None:
                    self._idle.learned(entry.learner)
                    self._evaluations.settle(entry.round)
            case DeadlinePassed(key):
                if self._books.passed(key) and not self._evaluations.overdue(key):
                    self._overdue(key)
            case Committed(round_, version):
                self._committed(round_, version)
            case CombineFailed(round_):
                self._combine_failed(round_)
            case Proceed(last):
                self._granted += not self._finishing
                self._last_granted = last
            case Finish(combine_open):
                self._finish(combine_open=combine_open)
            case Unended():
                self._result = Result(event.round, event.version, event.cohort)
                learners = self._evaluators(self._result, is_last=event.last)
                self._evaluations.begin_again(self._result, learners, is_last=event.last)
            case _:
                assert_never(event)

    def _departed(self, learner: LearnerId) -> None:
        tasks = self._books.tasks.of_learner(learner)
        for entry in self._books.depart(learner):
            if not entry.train:
                self._evaluations.settle(entry.round)
        for task in tasks:
            self._task_of.pop(task_deadline(task), None)
        self._failures.pop(learner, None)
        self._everybody.discard(learner)
        self._idle.left(learner)

    def _task_failed(self, entry: OpenTask, task: TaskId) -> None:
        if entry.train:
            self._failures[entry.learner] = self._failures.get(entry.learner, 0) + 1
            self._freed(entry, task)
        else:
            self._evaluations.settle(entry.round)

    def _overdue(self, key: str) -> None:
        if (task := self._task_of.get(key)) is not None and task not in self._books.waiting:
            self._task_failed(self._books.drop(task), task)

    def _committed(self, round_: Round, version: Version) -> None:
        done = self._combined(round_)
        self._books.version = version
        self._next_round = round_ + 1
        self._failed_rounds = 0
        self._result = Result(round_, version, tuple(done.givers))
        is_last = self._finishing or (self._last_granted and not self._granted)
        if self._evaluations.is_due(round_, is_last=is_last):
            self._evaluations.begin(self._result, self._evaluators(self._result, is_last=is_last))
        else:
            self._books.say(EndRound(round_))

    def _combine_failed(self, round_: Round) -> None:
        self._combined(round_)
        self._failed_rounds += 1
        self._abandon(round_, "its updates could not be combined")
        if not self._finishing and self._failed_rounds >= self._rules.max_failed_rounds:
            self._give_up(f"round {round_} could not be combined, {self._failed_rounds} times in a row")

    def _finish(self, *, combine_open: bool) -> None:
        self._finishing = True
        self._granted = 0
        self._drop_training()
        if self._phase is not Phase.OPEN or self._round is None:
            return
        if combine_open and self._round.accepted:
            self._combine()
        else:
            self._abandon(self._round.number, "the federation is finishing")

    # ------------------------------------------------------------------------------------- what the books allow, in order

    def _settle(self) -> None:
        if self._phase is Phase.OPEN:
            self._go_on()
        if self._phase is Phase.IDLE and self._granted:
            self._begin_or_wait()
        if self._phase is Phase.IDLE and self._finishing:
            self._wind_up()

    def _begin_or_wait(self) -> None:
        here, needed = self._books.here, self._terms.learners_needed(self._next_round)
        if len(here) < needed:
            self._wait(f"round {self._next_round} needs {needed} learners; {len(here)} are here")
        elif self._books.tasks.num_training or self._idle.any_eligible(self._next_round):
            self._begin()
        elif self._idle:
            self._wait(f"round {self._next_round} needs learners; the selection policy takes none of the {len(here)} here")
        else:
            failed = f"the tasks of all {len(here)} learners have failed {self._rules.max_failed_tasks} times in a row"
            self._give_up(f"round {self._next_round} cannot go on: {failed}")

    def _begin(self) -> None:
        self._granted -= 1
        self._said = ""
        self._phase, self._round = Phase.OPEN, _Round(self._next_round)
        self._books.say(BeginRound(self._next_round, ()))
        self._go_on()

    def _go_on(self) -> None:
        """Accept what waits, combine if that is enough, keep learners at work; end the round where nobody can answer."""
        assert self._round is not None
        while self._books.waiting and (self._round.accepted < self._rules.updates or self._holds_back()):
            self._take(next(iter(self._books.waiting)), self._round)
        if self._round.accepted < self._rules.updates:
            self._dispatch(self._round.number)
        elif not self._holds_back():
            self._combine()
        if self._phase is Phase.OPEN and not self._books.tasks.num_training:
            self._close_early(self._round)

    def _close_early(self, open_round: _Round) -> None:
        """Nobody is left to give another update: what is there counts."""
        if open_round.accepted:
            self._combine()
        else:
            self._abandon(open_round.number, "no learner is left that could give an update")

    def _wait(self, why: str) -> None:
        if not self._said:
            self._said = why
            self._books.say(Wait(why))

    def _wind_up(self) -> None:
        if self._result is not None and not self._result.evaluated:
            self._evaluations.begin_last(self._result, self._evaluators(self._result, is_last=True))
        if not self._evaluations.any_open:
            self._over(Finished())

    # ----------------------------------------------------------------------------------------------------------- updates

    def _take(self, task: TaskId, open_round: _Round) -> None:
        """Accept a waiting update, unless it is too stale."""
        entry = self._books.tasks.get(task)
        assert entry is not None, "an update waits as long as its task is open"
        self._failures.pop(entry.learner, None)
        if self._rules.when_stale == "refuse" and self._exceeds(self._books.version - entry.version):
            self._books.drop(task, Refusal.STALE)
        else:
            self._books.accept(task)
            open_round.givers.setdefault(entry.learner)
            open_round.accepted += 1
        self._freed(entry, task)

    def _exceeds(self, staleness: int) -> bool:
        return self._rules.max_staleness is not None and staleness > self._rules.max_staleness

    def _holds_back(self) -> bool:
        """Whether a commit would make an update that is outstanding too stale, and such are waited for."""
        oldest = self._books.tasks.oldest_base
        if self._rules.when_stale == "refuse" or oldest is None:
            return False
        return self._exceeds(self._books.version + 1 - oldest)

    def _freed(self, entry: OpenTask, task: TaskId) -> None:
        """A training task is over: its learner can be given another, unless too many have failed."""
        self._task_of.pop(task_deadline(task), None)
        rests = self._failures.get(entry.learner, 0) >= self._rules.max_failed_tasks
        self._idle.freed(entry.learner, rests=rests)

    def _dispatch(self, round_: Round) -> None:
        for learner in self._idle.take(round_):
            task = self._books.train(learner, round_)
            if self._rules.task_timeout_s is not None:
                self._task_of[task_deadline(task)] = task
                self._books.set_deadline(task_deadline(task), self._rules.task_timeout_s)

    # ------------------------------------------------------------------------------------------------------------- rounds

    def _evaluators(self, result: Result, *, is_last: bool) -> list[LearnerId]:
        """Who evaluates a result: a sample; without that option, whose updates it combined, and everybody the last one."""
        if self._rules.evaluators is not None:
            return self._everybody.sample(self._rules.evaluators, self._terms.rng(result.number))
        return sorted(self._books.here) if is_last else list(result.cohort)

    def _combine(self) -> None:
        assert self._round is not None
        self._phase = Phase.COMBINING
        self._books.say(Combine(self._round.number))

    def _combined(self, round_: Round) -> _Round:
        """The round whose combination was answered; it is not open any more."""
        done = self._round
        assert self._phase is Phase.COMBINING, f"round {round_} was combined, but no Combine is outstanding"
        assert done is not None
        assert done.number == round_, f"round {round_} was combined, but Combine was given for round {done.number}"
        self._phase, self._round = Phase.IDLE, None
        return done

    def _abandon(self, round_: Round, why: str) -> None:
        self._phase, self._round = Phase.IDLE, None
        self._granted += not self._finishing
        self._books.say(AbandonRound(round_, why))

    def _drop_training(self) -> None:
        for task in self._books.tasks.training:
            self._books.drop(task)

    def _give_up(self, why: str) -> None:
        self._drop_training()
        self._evaluations.give_up()
        self._over(GiveUp(why))

    def _over(self, last_word: Finished | GiveUp) -> None:
        self._books.say(last_word)
        self._phase = Phase.OVER
