"""The agenda against a plain ledger, under any order of events."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fedactors.learner import agenda
from fedactors.learner.agenda import ANSWERS_KEPT_MAX, TASKS_HELD_MAX, Agenda

TASKS = st.sampled_from([f"t{number}" for number in range(6)])


class AgendaMachine(RuleBasedStateMachine):
    """Each task is in one place of the ledger; the agenda must agree with it after every event."""

    def __init__(self):
        super().__init__()
        self.agenda = Agenda()
        self.waiting, self.to_deliver, self.kept = [], [], []
        self.at_work, self.wanted = None, True

    @rule(task=TASKS)
    def task_is_given(self, task):
        assert self.agenda.on_task(task, f"do {task}")
        if task == self.at_work:
            self.wanted = True
        elif task in self.kept:
            self.kept.remove(task)
            self.to_deliver.append(task)
        elif task not in self.waiting and task not in self.to_deliver:
            self.waiting.append(task)

    @rule(task=TASKS)
    def task_is_cancelled(self, task):
        self.agenda.on_cancel(task)
        self.wanted = self.wanted and task != self.at_work
        self.waiting = [other for other in self.waiting if other != task]
        self.to_deliver = [other for other in self.to_deliver if other != task]

    @rule()
    def controller_starts_anew(self):
        self.agenda.on_new_start()
        self.waiting, self.to_deliver, self.kept, self.wanted = [], [], [], False

    @rule()
    def worker_is_free(self):
        started = self.agenda.start()
        if self.at_work is None and self.waiting:
            self.at_work, self.wanted = self.waiting.pop(0), True
            assert started == (self.at_work, f"do {self.at_work}")
        else:
            assert started is None

    @precondition(lambda self: self.at_work is not None)
    @rule(small=st.booleans())
    def work_is_done(self, small):
        self.agenda.on_answer(self.at_work, ("answer", self.at_work, small), small=small)
        if self.wanted:
            self.to_deliver.append(self.at_work)
        self.at_work = None

    @precondition(lambda self: self.to_deliver)
    @rule()
    def answer_is_delivered(self):
        task, (_, answered, small) = self.agenda.next_answer
        assert task == answered
        self.agenda.on_delivered(task)
        self.to_deliver.remove(task)
        if small:
            self.kept.append(task)

    @rule(task=TASKS)
    def delivery_of_something_unknown_changes_nothing(self, task):
        if task not in self.to_deliver:
            self.agenda.on_delivered(task)

    @invariant()
    def agrees_with_the_ledger(self):
        at_work = [self.at_work] if self.at_work is not None and self.wanted else []
        assert list(self.agenda.held) == [*self.to_deliver, *at_work, *self.waiting]
        assert self.agenda.at_work == self.at_work
        assert (self.agenda.next_answer or (None,))[0] == (self.to_deliver[0] if self.to_deliver else None)


TestAgenda = AgendaMachine.TestCase


def worked_off(planner):
    delivered = []
    while planner.start() is not None:
        planner.on_answer(planner.at_work, planner.at_work.upper(), small=True)
    while planner.next_answer is not None:
        delivered.append(planner.next_answer[1])
        planner.on_delivered(planner.next_answer[0])
    return delivered


def test_tasks_are_answered_once_and_in_the_order_in_which_they_were_given():
    planner = Agenda()
    for task in ("b", "a", "b", "c"):
        planner.on_task(task, None)
    assert worked_off(planner) == ["B", "A", "C"]


def test_a_task_given_again_after_its_answer_was_sent_is_answered_from_memory():
    planner = Agenda()
    planner.on_task("a", None)
    assert worked_off(planner) == ["A"]
    planner.on_task("a", None)
    assert planner.start() is None
    assert worked_off(planner) == ["A"]


def test_only_the_last_answers_are_kept():
    planner = Agenda()
    for number in range(ANSWERS_KEPT_MAX + 1):
        planner.on_task(f"t{number}", None)
    worked_off(planner)
    planner.on_task("t0", None)
    planner.on_task("t1", None)
    assert planner.start() == ("t0", None)
    assert planner.held == ("t1", "t0")


def test_a_cancelled_task_that_is_at_work_runs_on_and_its_answer_is_dropped():
    planner = Agenda()
    planner.on_task("a", None)
    planner.start()
    planner.on_cancel("a")
    assert planner.at_work == "a"
    assert planner.held == ()
    planner.on_answer("a", "A", small=True)
    assert planner.next_answer is None


def test_a_controller_that_floods_a_learner_is_told_that_there_is_no_room():
    planner = Agenda()
    assert all(planner.on_task(f"t{number}", None) for number in range(TASKS_HELD_MAX))
    assert not planner.on_task("one more", None)
    assert planner.on_task("t0", None)


def test_the_module_names_its_limits():
    assert agenda.TASKS_HELD_MAX <= 1024
