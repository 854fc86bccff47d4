"""A schedule with task ids t1, t2, ... and the few words that a test needs."""

import itertools

from fedactors.scheduling.base import Accept, Committed, DeadlinePassed, Joined, Proceed, TaskFailed, Terms, UpdateArrived
from fedactors.scheduling.synchronous import Synchronous
from fedactors.selection.base import Candidate
from fedactors.selection.everyone import Everyone
from fedactors.task import Refusal, TrainReport


class Play:
    """A schedule with tasks t1, t2, ... and the few words that a test needs."""

    def __init__(self, options=None, *, here="abc", granted=True, **terms):
        terms = {"selection": Everyone(), "seed": 1, "evaluate_every": 0, **terms}
        self.now_s = 0.0
        tasks = (f"t{n}" for n in itertools.count(1))
        self.schedule = (options or Synchronous()).schedule(Terms(tasks=tasks, **terms))
        self.begun = [*(self.tell(Joined(Candidate(learner))) for learner in here)]
        self.begun = self.tell(Proceed()) if granted else []

    def tell(self, event):
        return self.schedule.handle(event, self.now_s)

    def update(self, task, learner, **report):
        return self.tell(UpdateArrived(task, learner, TrainReport(10, **report)))

    def fail(self, task, learner):
        return self.tell(TaskFailed(task, learner, Refusal.LEARNER_FAILED))

    def pass_time(self, key, now_s):
        self.now_s = now_s
        return self.tell(DeadlinePassed(key))

    def commit(self, round_=1):
        return self.tell(Committed(round_, round_))

    def round(self, round_, tasks, learners="abc"):
        """A round in which everybody answers; what the commit commands."""
        for task, learner in zip(tasks, learners, strict=True):
            assert Accept(task, learner, 0) in self.update(task, learner)
        return self.commit(round_)
