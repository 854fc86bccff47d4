"""What every protocol's machine keeps and says, whatever it decides: who is here, open tasks, waiting updates, deadlines."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

from fedactors.model import LearnerId, Version
from fedactors.scheduling.base import (
    Accept,
    Cancel,
    ClearDeadline,
    Command,
    Evaluate,
    EvaluationArrived,
    OpenTask,
    Refuse,
    SetDeadline,
    TaskFailed,
    Terms,
    Train,
    UpdateArrived,
)
from fedactors.scheduling.open_tasks import OpenTasks
from fedactors.selection.base import Candidate
from fedactors.task import Refusal, Round, TaskId, TaskKey, TaskKind, TrainReport

LATE_TASKS_MAX = 10_000
"""Cancelled tasks that are remembered, so that their answers are refused as late; older ones are refused as unknown."""

LOSS = "loss"
"""The metric by which selection policies compare learners."""


class Books:
    """Changes by events, and writes down the commands that follow from a change; decides nothing.

    Attributes:
        here: who is here, with what is known of it.
        tasks: given and not answered; an update that waits leaves its task open.
        waiting: updates that have arrived and have no verdict yet, in order.
        version: the newest of the global model.
        commands: what was said since the last `listen`.
    """

    def __init__(self, terms: Terms) -> None:
        self.here: dict[LearnerId, Candidate] = {}
        self.tasks = OpenTasks()
        self.waiting: OrderedDict[TaskId, None] = OrderedDict()
        self.version: Version = terms.version
        self.commands: list[Command] = []
        self._task_ids = terms.tasks
        self._given_before = dict(terms.given)
        self._late: OrderedDict[TaskId, None] = OrderedDict()
        self._tell_training_loss: set[LearnerId] = set()
        self._deadlines: set[str] = set()
        self._now_s = 0.0
        self._given = 0  # training tasks

    def listen(self, now_s: float) -> None:
        """An event begins at this time."""
        self.commands, self._now_s = [], now_s

    def say(self, command: Command) -> None:
        """Write down a command."""
        self.commands.append(command)

    # ---------------------------------------------------------------------------------------------------------- membership

    def join(self, candidate: Candidate) -> bool:
        """A learner is here; whether it was not before. What is known of one that was is kept."""
        known = self.here.get(candidate.learner)
        if known is not None:
            candidate = replace(known, num_examples=candidate.num_examples, tags=candidate.tags)
        self.here[candidate.learner] = candidate
        return known is None

    def depart(self, learner: LearnerId) -> list[OpenTask]:
        """A learner is gone: its tasks are closed and returned, its waiting updates are refused, what was known is forgotten."""
        self.here.pop(learner, None)
        self._tell_training_loss.discard(learner)
        closed = []
        for task in self.tasks.of_learner(learner):
            if task in self.waiting:
                self.say(Refuse(task, learner, Refusal.UNKNOWN_TASK))
            closed.append(self._close(task))
        return closed

    # --------------------------------------------------------------------------------------------------------------- tasks

    def train(self, learner: LearnerId, round_: Round, steps: int | None = None) -> TaskId:
        """Give a learner that is here a training task on the newest version."""
        task = self._task_id((TaskKind.TRAIN, learner, round_, self.version))
        self.tasks.open(task, OpenTask(learner, round_, self.version, given_s=self._now_s))
        self._given += 1
        self.here[learner] = self.here[learner].asked(round_, self._given)
        self.say(Train(task, learner, round_, self.version, steps))
        return task

    def evaluate(self, learner: LearnerId, round_: Round, version: Version) -> None:
        """Give a learner that is here an evaluation task."""
        task = self._task_id((TaskKind.EVALUATE, learner, round_, version))
        self.tasks.open(task, OpenTask(learner, round_, version, train=False))
        self.say(Evaluate(task, learner, round_, version))

    def _task_id(self, key: TaskKey) -> TaskId:
        return self._given_before.pop(key, None) or next(self._task_ids)

    def arrive(self, event: UpdateArrived) -> OpenTask | None:
        """The open task that an update answers, which then waits for a verdict; None, and a refusal, where it cannot count.

        A second copy of an update that waits already changes nothing: there will be one verdict.
        """
        entry = self.tasks.get(event.task)
        if entry is None or not entry.train:
            late = event.task in self._late
            self.say(Refuse(event.task, event.learner, Refusal.LATE if late else Refusal.UNKNOWN_TASK))
        elif entry.learner != event.learner:
            self.say(Refuse(event.task, event.learner, Refusal.NOT_OWNER))
        elif event.task not in self.waiting:
            self.waiting[event.task] = None
            self._learn(entry, event.report)
            return entry
        return None

    def accept(self, task: TaskId) -> OpenTask:
        """Let a waiting update count in the open round."""
        assert task in self.waiting, f"the update of task {task} does not wait"
        entry = self._close(task)
        self.say(Accept(task, entry.learner, self.version - entry.version))
        return entry

    def fail(self, event: TaskFailed) -> OpenTask | None:
        """The task that failed, closed; None where none is open, or it is another learner's."""
        entry = self.tasks.get(event.task)
        if entry is None or entry.learner != event.learner:
            return None
        if event.task in self.waiting:
            self.say(Refuse(event.task, event.learner, event.reason))
        return self._close(event.task)

    def evaluated(self, event: EvaluationArrived) -> OpenTask | None:
        """The evaluation that was answered, closed; None where none is open, or it is another learner's."""
        entry = self.tasks.get(event.task)
        if entry is None or entry.learner != event.learner or entry.train:
            return None
        if event.report is not None and event.learner not in self._tell_training_loss:
            loss = _loss(event.report.metrics)
            if loss is not None:
                self.here[event.learner] = replace(self.here[event.learner], loss=loss)
        return self._close(event.task)

    def drop(self, task: TaskId, reason: Refusal = Refusal.LATE) -> OpenTask:
        """Give up a task: a waiting update is refused, any other answer is not wanted any more."""
        waits = task in self.waiting
        entry = self._close(task)
        if waits:
            self.say(Refuse(task, entry.learner, reason))
        else:
            self.say(Cancel(task, entry.learner))
        if entry.train:
            self._remember(task)
        return entry

    def _close(self, task: TaskId) -> OpenTask:
        self.waiting.pop(task, None)
        self.clear_deadline(task_deadline(task))
        return self.tasks.close(task)

    def _remember(self, task: TaskId) -> None:
        self._late[task] = None
        if len(self._late) > LATE_TASKS_MAX:
            self._late.popitem(last=False)

    # ---------------------------------------------------------------------------------------------------- what is learned

    def _learn(self, entry: OpenTask, report: TrainReport | None) -> None:
        candidate, loss, per_batch, per_epoch = self.here[entry.learner], None, 0.0, 0.0
        if report is not None:
            loss, (per_batch, per_epoch) = _loss(report.metrics), _timings(candidate, report)
        if loss is not None:
            self._tell_training_loss.add(entry.learner)
        self.here[entry.learner] = candidate.answered(self._now_s - entry.given_s, loss, per_batch, per_epoch)

    # ----------------------------------------------------------------------------------------------------------- deadlines

    def set_deadline(self, key: str, timeout_s: float | None) -> None:
        """Have DeadlinePassed come in so many seconds; None: never."""
        if timeout_s is not None:
            self._deadlines.add(key)
            self.say(SetDeadline(key, self._now_s + timeout_s))

    def clear_deadline(self, key: str) -> None:
        """Forget a deadline; one that is not set is no error."""
        if key in self._deadlines:
            self._deadlines.remove(key)
            self.say(ClearDeadline(key))

    def passed(self, key: str) -> bool:
        """Whether a deadline that has come was set, and not cleared while the event was under way; it is not any more."""
        was_set = key in self._deadlines
        self._deadlines.discard(key)
        return was_set


def task_deadline(task: TaskId) -> str:
    """The key of a task's own deadline."""
    return f"task-{task}"


def _loss(metrics: Mapping[str, float]) -> float | None:
    """A loss that is a number; one that diverged says nothing by which learners could be compared."""
    loss = metrics.get(LOSS)
    return None if loss is None or not math.isfinite(loss) else float(loss)


def _timings(candidate: Candidate, report: TrainReport) -> tuple[float, float]:
    """Milliseconds per batch and per epoch as reported; an epoch's are scaled from what was known where it tells a batch's alone.

    A learner that trained on so many batches and counts no epochs has no time per epoch to tell; batches per epoch do not change.
    """
    per_batch, per_epoch = report.ms_per_batch, report.ms_per_epoch
    if not per_epoch and per_batch and candidate.ms_per_batch:
        per_epoch = candidate.ms_per_epoch * (per_batch / candidate.ms_per_batch)
    return per_batch, per_epoch
