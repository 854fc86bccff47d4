"""The semi-synchronous protocol against a referee that counts every learner's steps by the formula, under any order of events."""

import math

import pytest

from fedactors.scheduling import base as on
from fedactors.scheduling.pace import STEPS_MAX
from fedactors.scheduling.semi_synchronous import SemiSynchronous
from fedactors.testing.conformance_scheduler import check_scheduler
from tests.scheduling.test_synchronous_machine import InStep

OPTIONS = [
    SemiSynchronous(),
    SemiSynchronous(pace=2.5, late_updates="keep", round_timeout_s=10.0),
    SemiSynchronous(pace=0.3, recompute=False),
    SemiSynchronous(recompute=False, min_updates=2, round_timeout_s=10.0, over_selection=0.5),
]


class ByTheFormula(InStep):
    """Adds how many batches each task has: ceil(pace * the cohort's longest epoch / the learner's time per batch).

    Attributes:
        per_batch, per_epoch: milliseconds, as each learner that is here has told them last.
        expected: steps in the open round, by learner; a cold start for all others.
        t_max: of the first round that had timings; where steps are computed once, of all that follow.
        once: the steps of learners that have had some since they joined.
    """

    def __init__(self, protocol, terms, min_updates):
        super().__init__(protocol, terms, min_updates)
        self.per_batch, self.per_epoch = {}, {}
        self.expected, self.t_max, self.once = {}, None, {}

    def note(self, event):
        match event:
            case on.UpdateArrived(_, learner, report) if report is not None and self._may_count(event):
                self.learn(learner, report.ms_per_batch, report.ms_per_epoch)
            case on.Departed(learner):
                for known in (self.per_batch, self.per_epoch, self.once):
                    known.pop(learner, None)
        super().note(event)

    def learn(self, learner, per_batch, per_epoch):
        """An epoch has as many batches as before, if it is not told."""
        if per_batch and not per_epoch and learner in self.per_batch:
            per_epoch = self.per_epoch.get(learner, 0.0) * (per_batch / self.per_batch[learner])
        self.per_batch |= {learner: per_batch} if per_batch else {}
        self.per_epoch |= {learner: per_epoch} if per_epoch else {}

    def judge(self, command):
        match command:
            case on.BeginRound(_, cohort):
                self.expected = self.steps([learner for learner in cohort if learner in self.per_batch])
            case on.Train(_, learner):
                assert command.steps == self.expected.get(learner), f"{command}: the formula says {self.expected.get(learner)}"
        super().judge(command)

    def steps(self, timed):
        pace, epochs = self.options.pace, [self.per_epoch[learner] for learner in timed if learner in self.per_epoch]
        t_max = pace * max(epochs) if epochs else None
        if not self.options.recompute:
            t_max = self.t_max = t_max if self.t_max is None else self.t_max
        if t_max is None:
            return {}
        steps = {learner: max(1, math.ceil(min(t_max / self.per_batch[learner], STEPS_MAX))) for learner in timed}
        if not self.options.recompute:
            self.once = steps | self.once
            return {learner: self.once[learner] for learner in timed}
        return steps


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_task_has_the_steps_of_the_formula_under_any_order_of_events(options):
    check_scheduler(options, min_updates=options.min_updates, referee=ByTheFormula, examples=12)
