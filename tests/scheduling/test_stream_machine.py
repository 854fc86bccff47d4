"""The protocols without rounds in step against a referee that knows their rules, under any order of events."""

import pytest

from fedactors.scheduling import base as on
from fedactors.scheduling.asynchronous import Asynchronous
from fedactors.scheduling.buffered import Buffered
from fedactors.selection.everyone import Everyone
from fedactors.task import Refusal
from fedactors.testing.conformance_scheduler import Referee, check_scheduler

OPTIONS = [
    Asynchronous(),
    Asynchronous(max_failed_tasks=1),
    Asynchronous(concurrency=2, evaluators=2),
    Asynchronous(max_staleness=0),
    Asynchronous(max_staleness=1, task_timeout_s=5.0),
    Asynchronous(max_staleness=0, when_stale="wait"),
    Asynchronous(max_staleness=2, when_stale="wait", task_timeout_s=5.0, concurrency=3),
    Buffered(updates=3),
    Buffered(updates=7, concurrency=1, max_failed_rounds=1),
    Buffered(updates=2, max_staleness=1, task_timeout_s=5.0),
    Buffered(updates=2, max_staleness=1, when_stale="wait"),
]


class Flowing(Referee):
    """Adds what a stream promises: how many updates make a version, how stale they are, how many learners train."""

    def __init__(self, protocol, terms, min_updates):
        super().__init__(protocol, terms, min_updates)
        self.options = protocol
        self.goal = getattr(protocol, "updates", 1)
        self.givers = {}
        self.failed = {}

    def note(self, event):
        match event:
            case on.TaskFailed(task, learner):
                given = self.tasks.get(task)
                if given is not None and given.open and given.train and given.learner == learner:
                    self.failed[learner] = self.failed.get(learner, 0) + 1
            case on.Joined(candidate):
                self.failed.pop(candidate.learner, None)
            case on.Departed(learner):
                self.failed.pop(learner, None)
            case on.Committed(round_):
                self.givers[round_] = {self.tasks[task].learner for task in self.accepted}
        super().note(event)

    def judge(self, command):
        limit, bound = self.options.concurrency, self.options.max_staleness
        match command:
            case on.Train(_, learner):
                assert len(self.accepted) < self.goal, "a task that could start from a newer version waits for it"
                assert self.failed.get(learner, 0) < self.options.max_failed_tasks, "a learner that always fails rests"
            case on.Accept(task, learner, staleness):
                assert bound is None or staleness <= bound
                self.failed.pop(learner, None)
            case on.Refuse(task, learner, Refusal.STALE):
                assert self.options.when_stale == "refuse"
                assert self.version - self.tasks[task].version > bound
                self.failed.pop(learner, None)
            case on.Cancel(task, learner) if self.tasks[task].train and not self.finishing:
                self.failed[learner] = self.failed.get(learner, 0) + 1
            case on.Evaluate(_, learner, round_) if self.options.evaluators is None and round_ != max(self.committed):
                assert learner in self.givers[round_]
        super().judge(command)
        assert limit is None or len(self.open_tasks(train=True)) <= limit

    def combine(self, command):
        super().combine(command)
        may_come = [task for task in self.open_tasks(train=True) if task not in self.waiting]
        assert len(self.accepted) >= self.goal or not may_come or self.finishing
        if self.options.when_stale == "wait":
            assert all(self.version + 1 - self.tasks[task].version <= self.options.max_staleness for task in may_come)

    def judge_progress(self):
        super().judge_progress()
        if self.over is not None or self.open_round is None or self.combining is not None:
            return
        enough = len(self.accepted) >= self.goal
        assert not self.finishing, "Finish leaves no round open"
        assert not enough or self.options.when_stale == "wait", "a round that can commit does"
        if not enough and self.options.concurrency is None and isinstance(self.terms.selection, Everyone):
            at_work = {self.tasks[task].learner for task in self.open_tasks(train=True)}
            rest = {learner for learner, times in self.failed.items() if times >= self.options.max_failed_tasks}
            assert self.here <= at_work | rest, "nobody is idle"


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_stream_conforms_under_any_order_of_events(options):
    check_scheduler(options, referee=Flowing, examples=12)
