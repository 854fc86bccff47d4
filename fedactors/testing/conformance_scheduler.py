"""What every scheduling protocol owes its federation, checked on a protocol of yours.

def test_my_protocol_conforms():
    check_scheduler(MyProtocol(option=3))

`Referee` keeps its own books of a schedule's dialogue and asserts after every event that no rule is broken. `check_scheduler` has
hypothesis (a package of the `dev` extra) play joins, departures, losses, strangers and deadlines against it, in any order.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from fedactors.model import LearnerId, Version
from fedactors.scheduling import base as on
from fedactors.scheduling.base import Command, Event, Protocol, Terms
from fedactors.selection.base import Candidate, Selection
from fedactors.selection.everyone import Everyone
from fedactors.selection.power_of_choice import PowerOfChoice
from fedactors.selection.round_robin import RoundRobin
from fedactors.selection.uniform import Uniform
from fedactors.task import EvaluationReport, Refusal, Round, TaskId, TrainReport

if TYPE_CHECKING:
    from hypothesis.stateful import RuleBasedStateMachine

LEARNERS = tuple(f"learner-{number}" for number in range(5))
SELECTIONS: tuple[Selection, ...] = (
    Everyone(),
    Uniform(count=2),
    Uniform(fraction=0.5),
    RoundRobin(count=2),
    PowerOfChoice(count=1, candidates=3),
)
REPORTS: tuple[TrainReport | None, ...] = (
    None,
    TrainReport(10, 5, 1.0, ms_per_batch=2.0, ms_per_epoch=10.0, metrics={"loss": 0.5}),
    TrainReport(10, 3, 0.0, ms_per_batch=7.5, metrics={"loss": math.nan}),
    TrainReport(0, 1, 1.0, ms_per_batch=5e-324, ms_per_epoch=1e308, metrics={"loss": math.inf}),
)
"""What learners say of their training, the truth or not."""
EVALUATED = EvaluationReport(5, {"loss": 1.5})


@dataclass(slots=True)
class Given:
    """A task that the schedule gave.

    Attributes:
        open: neither answered, nor failed, nor cancelled, nor given up.
    """

    learner: LearnerId
    round: Round
    version: Version
    train: bool
    open: bool = True


class Referee:
    """A schedule, and the books by which every command is judged; raises AssertionError where a rule is broken.

    Attributes:
        now_s: the clock; it moves to each deadline that passes.
        here: who is here.
        tasks: every task ever given.
        waiting: updates that arrived and have no verdict yet.
        accepted: of the open round.
        grants: rounds that may still begin.
        open_round: begun and neither committed nor abandoned.
        combining: the round whose combination is under way.
        committed: versions by round.
        ended: rounds that ended.
        deadlines: set and neither passed nor cleared.
        cleared: keys that were set once and are not any more.
        troubles: training tasks that failed, departures, deadlines that passed and failed combinations, so far.
        over: the last command.
        sound: no rule is broken yet.
    """

    def __init__(self, protocol: Protocol, terms: Terms, min_updates: int) -> None:
        self.protocol = protocol
        self.terms = terms
        self.min_updates = min_updates
        self.schedule = protocol.schedule(terms)
        self.now_s = 0.0
        self.here: set[LearnerId] = set()
        self.tasks: dict[TaskId, Given] = {}
        self.waiting: set[TaskId] = set()
        self.accepted: list[TaskId] = []
        self.grants = 0
        self.finishing = False
        self.next_round = terms.first_round
        self.version = terms.version
        self.open_round: Round | None = None
        self.combining: Round | None = None
        self.committed: dict[Round, Version] = {}
        self.ended: set[Round] = set()
        self.deadlines: dict[str, float] = {}
        self.cleared: list[str] = []
        self.over: on.Finished | on.GiveUp | None = None
        self.troubles = 0
        self.sound = True

    def tell(self, event: Event) -> list[Command]:
        """Hand an event to the schedule and judge what it commands."""
        was_over, self.sound = self.over, False
        countable = was_over is None and isinstance(event, on.UpdateArrived) and self._may_count(event)
        if was_over is None:
            self.note(event)
        commands = self.schedule.handle(event, self.now_s)
        assert was_over is None or not commands, f"{commands} after {was_over}"
        for command in commands:
            assert self.over is None, f"{command} after {self.over}"
            self.judge(command)
        if was_over is None:
            self.judge_answer(event, commands, countable=countable)
            self.judge_progress()
        self.sound = True
        return commands

    def open_tasks(self, *, train: bool, round_: Round | None = None) -> list[TaskId]:
        """Tasks that are open, of one round or of all."""
        return [
            task
            for task, given in self.tasks.items()
            if given.open and given.train == train and (round_ is None or given.round == round_)
        ]

    # ------------------------------------------------------------------------------------------------------ what happened

    def note(self, event: Event) -> None:
        """Enter an event in the books."""
        self.troubles += isinstance(event, (on.TaskFailed, on.Departed, on.DeadlinePassed, on.CombineFailed))
        match event:
            case on.Joined(candidate):
                self.here.add(candidate.learner)
            case on.Departed(learner):
                self.here.discard(learner)
                for given in self.tasks.values():
                    given.open = given.open and given.learner != learner
            case on.TaskFailed(task, learner) | on.EvaluationArrived(task, learner):
                self._close(task, learner, train=isinstance(event, on.TaskFailed))
            case on.DeadlinePassed(key):
                self.now_s = max(self.now_s, self.deadlines.get(key, self.now_s))
                self._forget_deadline(key)
            case on.Committed(round_, version):
                self.committed[round_], self.version = version, version
                self.open_round = self.combining = None
                self.next_round = round_ + 1
                self.accepted.clear()
            case on.CombineFailed():
                self.combining = None
            case on.Proceed():
                self.grants += not self.finishing
            case on.Finish():
                self.finishing, self.grants = True, 0
            case on.Unended(round_, version):
                self.committed[round_] = version
            case on.UpdateArrived(task):
                if self._may_count(event):
                    self.waiting.add(task)
            case _:
                assert_never(event)

    def _may_count(self, event: on.UpdateArrived) -> bool:
        """Whether this is the first answer to an open training task, by its owner."""
        given = self.tasks.get(event.task)
        is_open = given is not None and given.open and given.train
        return is_open and self._is_owner(event) and event.task not in self.waiting

    def _is_owner(self, event: on.UpdateArrived) -> bool:
        return event.task in self.tasks and self.tasks[event.task].learner == event.learner

    def _close(self, task: TaskId, learner: LearnerId, *, train: bool) -> None:
        given = self.tasks.get(task)
        if given is not None and given.learner == learner and (train or not given.train):
            given.open = False

    def _forget_deadline(self, key: str) -> None:
        if self.deadlines.pop(key, None) is not None:
            self.cleared.append(key)

    # -------------------------------------------------------------------------------------------------- what is commanded

    def judge(self, command: Command) -> None:
        """Enter a command in the books, if it is allowed."""
        match command:
            case on.BeginRound():
                self._begin(command)
            case on.Train():
                self._train(command)
            case on.Evaluate():
                self._evaluate(command)
            case on.Cancel(task, learner):
                assert task not in self.waiting, f"{command}: its update waits, and must be refused"
                self._take_open(task, learner, command).open = False
            case on.Accept():
                self._accept(command)
            case on.Refuse(task):
                if (refused := self.tasks.get(task)) is not None and refused.learner == command.learner and refused.train:
                    refused.open = False
            case on.Combine():
                self.combine(command)
            case on.AbandonRound(round_, why):
                self._abandon(round_, why)
            case on.EndRound(round_):
                self._end(round_)
            case on.SetDeadline(key, at_s):
                assert at_s >= self.now_s, f"{command} lies in the past: it is {self.now_s}"
                self.deadlines[key] = at_s
            case on.ClearDeadline(key):
                assert key in self.deadlines, f"{key} is cleared, but not set"
                self._forget_deadline(key)
            case on.Wait(why):
                assert why, "a wait must say why"
            case on.GiveUp() | on.Finished():
                self._finish(command)
            case _:
                assert_never(command)

    def _begin(self, command: on.BeginRound) -> None:
        assert not self.finishing, f"{command} after Finish"
        assert self.grants > 0, f"{command} without a grant"
        assert self.open_round is None, f"{command} while round {self.open_round} is open"
        assert command.round == self.next_round, f"{command}: the next round is {self.next_round}"
        assert len(set(command.cohort)) == len(command.cohort), f"{command} names a learner twice"
        assert self.here.issuperset(command.cohort), f"{command}: here are {sorted(self.here)}"
        assert len(self.here) >= self.terms.learners_needed(command.round), f"{command}: only {sorted(self.here)} are here"
        self.open_round = command.round
        self.grants -= 1

    def _train(self, command: on.Train) -> None:
        assert command.round == self.open_round, f"{command}: open is round {self.open_round}"
        assert command.version == self.version, f"{command}: the newest version is {self.version}"
        assert self.combining is None, f"{command} while round {self.combining} is combined"
        assert command.steps is None or command.steps >= 1, f"{command}: a task has at least one step"
        busy = [task for task in self.open_tasks(train=True) if self.tasks[task].learner == command.learner]
        assert not busy, f"{command}: that learner is at task {busy}"
        self._give(command.task, Given(command.learner, command.round, command.version, train=True))

    def _evaluate(self, command: on.Evaluate) -> None:
        assert command.round in self.committed, f"{command} of a round without a result"
        assert command.version == self.committed[command.round], f"{command}: it gave version {self.committed[command.round]}"
        self._give(command.task, Given(command.learner, command.round, command.version, train=False))
        times = Counter((given.learner, given.round) for given in self.tasks.values() if not given.train)
        assert times[command.learner, command.round] == 1, f"{command}: it evaluates that round already"

    def _give(self, task: TaskId, given: Given) -> None:
        assert task not in self.tasks, f"task id {task} is used twice"
        assert given.learner in self.here, f"task {task} goes to {given.learner}, who is not here"
        self.tasks[task] = given

    def _take_open(self, task: TaskId, learner: LearnerId, command: Command) -> Given:
        given = self.tasks.get(task)
        assert given is not None, f"{command}: there never was that task"
        assert given.open, f"{command}: that task is not open"
        assert given.learner == learner, f"{command}: it is a task of {given.learner}"
        return given

    def _accept(self, command: on.Accept) -> None:
        given = self._take_open(command.task, command.learner, command)
        assert given.train, f"{command}: it is an evaluation"
        assert self.open_round is not None, f"{command} while no round is open"
        assert self.combining is None, f"{command} while round {self.combining} is combined"
        assert command.staleness == self.version - given.version, f"{command}: versions are {self.version} and {given.version}"
        given.open = False
        self.accepted.append(command.task)

    def combine(self, command: on.Combine) -> None:
        """Judge a combination; a protocol that promises more is judged by a subclass."""
        assert self.combining is None, f"{command} while round {self.combining} is combined"
        assert command.round == self.open_round, f"{command}: open is round {self.open_round}"
        assert self.accepted, f"{command} of nothing"
        self.combining = command.round

    def _abandon(self, round_: Round, why: str) -> None:
        assert why, "an abandoned round must say why"
        assert round_ == self.open_round, f"round {round_} is abandoned; open is round {self.open_round}"
        assert self.combining is None, f"round {round_} is abandoned while it is combined"
        left = [] if self.protocol.streams else self.open_tasks(train=True, round_=round_)
        assert not left, f"round {round_} is abandoned with open tasks"
        self.open_round = None
        self.accepted.clear()
        self.grants += not self.finishing

    def _end(self, round_: Round) -> None:
        assert round_ in self.committed, f"round {round_} ends without a commit"
        assert round_ not in self.ended, f"round {round_} ends twice"
        assert not self.open_tasks(train=False, round_=round_), f"round {round_} ends with open evaluations"
        self.ended.add(round_)

    def _finish(self, command: on.Finished | on.GiveUp) -> None:
        assert self.finishing or isinstance(command, on.GiveUp), "Finished without Finish"
        assert self.troubles or isinstance(command, on.Finished), f"{command}, but nothing has gone wrong yet"
        self.over = command
        assert self.open_round is None, f"{command} while round {self.open_round} is open"
        assert not any(given.open for given in self.tasks.values()), f"{command} with open tasks"
        assert not self.deadlines, f"{command} with deadlines {sorted(self.deadlines)}"
        assert self.ended == set(self.committed), f"{command}, but rounds {set(self.committed) - self.ended} have not ended"

    # ------------------------------------------------------------------------------------------------- what must be commanded

    def judge_answer(self, event: Event, commands: list[Command], *, countable: bool) -> None:
        """Every update is accepted or refused once: at once, or, if it may count, as soon as a round is open to count in."""
        verdicts = [(command.task, command.learner) for command in commands if isinstance(command, (on.Accept, on.Refuse))]
        repeats = isinstance(event, on.UpdateArrived) and event.task in self.waiting and self._is_owner(event)
        if isinstance(event, on.UpdateArrived) and not countable and not repeats:
            assert (event.task, event.learner) in verdicts, f"{event} was answered with {commands}"
            verdicts.remove((event.task, event.learner))
        for task, learner in verdicts:
            assert task in self.waiting, f"{event} was answered with {commands}, but {task} does not wait"
            assert learner == self.tasks[task].learner, f"{event} was answered with {commands}"
            self.waiting.remove(task)
        gone = [task for task in self.waiting if not self.tasks[task].open]
        assert not gone, f"the updates of {gone} wait, but their tasks are over"
        if self.over is not None or (self.open_round is not None and self.combining is None):
            assert not self.waiting, f"the updates of {sorted(self.waiting)} wait for nothing"

    def judge_progress(self) -> None:
        """While the schedule is not over, it waits for something that can come."""
        if self.over is not None:
            return
        for round_ in self.committed.keys() - self.ended:
            assert self.open_tasks(train=False, round_=round_), f"nothing is outstanding of round {round_}, but it does not end"
        if self.open_round is not None:
            of_round = None if self.protocol.streams else self.open_round
            waits = self.combining is not None or self.open_tasks(train=True, round_=of_round)
            assert waits, f"round {self.open_round} hangs: nothing is outstanding"
        elif self.grants:
            needed = max(self.terms.learners_needed(self.next_round), self.min_updates)
            assert len(self.here) < needed, f"a round is granted, {sorted(self.here)} are here, and none begins"
        elif self.finishing:
            assert self.open_tasks(train=False), "nothing is outstanding after Finish, but Finished is not said"


def check_scheduler(
    protocol: Protocol,
    *,
    min_updates: int = 1,
    referee: Callable[[Protocol, Terms, int], Referee] = Referee,
    examples: int = 60,
    steps: int = 50,
) -> None:
    """Play `examples` federations of up to `steps` events against a protocol; repeatable, a few seconds.

    Args:
        protocol: with the options to check.
        min_updates: learners that it needs for a round, where that is more than `Terms.learners_needed`.
        referee: judges; a protocol that promises more than every protocol does has a subclass of its own.
        examples: federations to play.
        steps: events in each, at most.

    Raises:
        AssertionError: a rule is broken; hypothesis prints the shortest sequence of events that it found.
    """
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        _machine(protocol, min_updates, referee),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


def possible(play: Referee) -> Iterator[tuple[int, list[Event]]]:
    """Whatever may happen next, likely or not: events of one kind, and how often that kind shall be drawn."""
    train, evaluate = play.open_tasks(train=True), play.open_tasks(train=False)
    owners = {task: given.learner for task, given in play.tasks.items()}
    arriving = [task for task in train if task not in play.waiting]
    yield 8, [on.UpdateArrived(task, owners[task], report) for task in arriving for report in REPORTS]
    yield 4, [on.EvaluationArrived(task, owners[task], EVALUATED) for task in evaluate]
    yield 1, [on.TaskFailed(task, owners[task], Refusal.LEARNER_FAILED) for task in (*train, *evaluate)]
    yield 1, [on.DeadlinePassed(key) for key in play.deadlines]
    yield 1, [on.DeadlinePassed(key) for key in play.cleared if key not in play.deadlines]
    if play.combining is not None:
        yield 6, [on.Committed(play.combining, play.version + 1)]
        yield 1, [on.CombineFailed(play.combining)]
    yield 4, [on.Joined(Candidate(learner)) for learner in LEARNERS if learner not in play.here]
    yield 1, [on.Joined(Candidate(learner)) for learner in sorted(play.here)]
    yield 2, [on.Departed(learner) for learner in LEARNERS]
    if len(play.here) == 1:
        yield 3, [on.Departed(learner) for learner in play.here]
    yield 3 if play.open_round is None else 1, [on.Proceed(), on.Proceed(last=True)]
    yield 1 if len(play.committed) > 2 else 0, [on.Finish(), on.Finish(combine_open=False)]
    yield 1, strays(play)


def strays(play: Referee) -> list[Event]:
    """Answers to tasks that are not open, are not their sender's, or never were."""
    wrong = [
        (task, learner)
        for task, given in play.tasks.items()
        for learner in LEARNERS
        if not (given.open and given.learner == learner)
    ]
    answers: list[Event] = [on.UpdateArrived("nobody's task", LEARNERS[0])]
    answers += [on.UpdateArrived(task, learner) for task, learner in wrong]
    answers += [on.UpdateArrived(task, play.tasks[task].learner) for task in sorted(play.waiting)]
    answers += [on.EvaluationArrived(task, learner) for task, learner in wrong]
    return answers + [on.TaskFailed(task, learner, Refusal.BAD_REPORT) for task, learner in wrong]


def _machine(
    protocol: Protocol, min_updates: int, referee: Callable[[Protocol, Terms, int], Referee]
) -> type[RuleBasedStateMachine]:
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

    class Federation(RuleBasedStateMachine):
        """A schedule to which anything may happen, and that comes to its end whatever has happened."""

        play: Referee
        last_words: on.Finish

        @initialize(
            selection=st.sampled_from(SELECTIONS),
            min_learners=st.integers(1, 3),
            evaluate_every=st.integers(0, 3),
            evaluate_timeout_s=st.sampled_from([None, 7.0]),
            first_round=st.integers(1, 3),
            unended=st.booleans(),
            last_words=st.sampled_from([on.Finish(), on.Finish(combine_open=False)]),
        )
        def begin(self, first_round: int, unended: bool, last_words: on.Finish, **terms: Any) -> None:
            tasks = (f"task-{number}" for number in itertools.count())
            drawn = Terms(seed=1, tasks=tasks, first_round=first_round, version=first_round - 1, **terms)
            self.play = referee(protocol, drawn, min_updates)
            self.last_words = last_words
            if unended and first_round > 1:
                self.play.tell(on.Joined(Candidate(LEARNERS[0])))
                self.play.tell(on.Unended(first_round - 1, first_round - 1, tuple(LEARNERS[:2])))

        @rule(data=st.data())
        def happens(self, data: Any) -> None:
            """One rule for everything: hypothesis would switch off some of many rules, and then little happens at all."""
            kinds = [events for times, events in possible(self.play) if events for _ in range(times)]
            kind = kinds[data.draw(st.integers(0, len(kinds) - 1))]
            self.play.tell(data.draw(st.sampled_from(kind)))

        def teardown(self) -> None:
            """Finish, and answers to what is open, bring every schedule to its end."""
            if not hasattr(self, "play") or not self.play.sound:
                return
            self.play.tell(self.last_words)
            for _ in range(len(self.play.tasks) + 10 * len(LEARNERS)):
                if self.play.over is not None:
                    return
                self.play.tell(self._answer())
            raise AssertionError("everything is answered, and the schedule does not end")

        def _answer(self) -> Event:
            if (round_ := self.play.combining) is not None:
                return on.Committed(round_, self.play.version + 1)
            for task in self.play.open_tasks(train=True):
                return on.UpdateArrived(task, self.play.tasks[task].learner)
            for task in self.play.open_tasks(train=False):
                return on.EvaluationArrived(task, self.play.tasks[task].learner)
            raise AssertionError("nothing is outstanding, and the schedule does not end")

    return Federation
