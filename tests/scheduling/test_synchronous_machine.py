"""The synchronous protocol against a referee that knows its rules, under any order of events."""

import pytest

from fedactors.scheduling import base as on
from fedactors.scheduling.semi_synchronous import SemiSynchronous
from fedactors.scheduling.synchronous import Synchronous
from fedactors.testing.conformance_scheduler import Referee, check_scheduler

OPTIONS = [
    Synchronous(),
    Synchronous(max_failed_rounds=1),
    Synchronous(round_timeout_s=10.0),
    Synchronous(round_timeout_s=10.0, min_updates=2),
    Synchronous(round_timeout_s=10.0, min_updates=3, over_selection=0.5),
    Synchronous(over_selection=1.0),
    Synchronous(round_timeout_s=10.0, late_updates="keep"),
    Synchronous(round_timeout_s=10.0, min_updates=2, over_selection=0.5, late_updates="keep"),
    SemiSynchronous(pace=1.5),
    SemiSynchronous(round_timeout_s=10.0, recompute=False, late_updates="keep"),
]


class InStep(Referee):
    """Adds what a synchronous round promises: it combines exactly when it may."""

    def __init__(self, protocol, terms, min_updates):
        super().__init__(protocol, terms, min_updates)
        self.options = protocol
        self.cohort = ()
        self.cohorts = {}
        self.overdue = False
        self.abandoned = 0

    def note(self, event):
        if isinstance(event, on.DeadlinePassed) and event.key in self.deadlines and event.key.startswith("round"):
            self.overdue = True
        if isinstance(event, on.Committed):
            self.cohorts[event.round], self.abandoned = self.cohort, 0
        if isinstance(event, on.Unended):
            self.cohorts[event.round] = event.cohort
        super().note(event)

    def judge(self, command):
        super().judge(command)
        match command:
            case on.BeginRound(_, cohort):
                self.cohort, self.overdue = cohort, False
                assert len(cohort) >= self.options.min_updates
            case on.AbandonRound():
                assert len(self.accepted) < self.options.min_updates or not self.accepted or self.finishing
                self.abandoned += 1
            case on.GiveUp():
                assert self.abandoned >= self.options.max_failed_rounds
            case on.Evaluate(_, learner, round_, _):
                assert self.terms.evaluate_every
                assert learner in self.cohorts[round_]

    def combine(self, command):
        super().combine(command)
        assert len(self.accepted) >= self.options.min_updates
        left = {self.tasks[task].round for task in self.open_tasks(train=True)}
        kept = {command.round} if self.options.late_updates == "keep" and not self.finishing else set()
        assert left <= kept, "what is not waited for is cancelled first, or kept for one round"

    def judge_progress(self):
        super().judge_progress()
        if self.over is None and self.open_round is not None and self.combining is None:
            enough = len(self.accepted) >= self.options.min_updates
            assert not (enough and (self.overdue or self.finishing)), "a round that may combine does"
            assert not self.finishing, "Finish leaves no round in training"
        if self.over is not None and isinstance(self.over, on.Finished) and self.committed and self.terms.evaluate_every:
            last = max(self.committed)
            evaluated = any(given.round == last for given in self.tasks.values() if not given.train)
            assert evaluated or not self.here.intersection(self.cohorts[last]), "the last result is evaluated"


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_synchronous_conforms_under_any_order_of_events(options):
    check_scheduler(options, min_updates=options.min_updates, referee=InStep, examples=12)
