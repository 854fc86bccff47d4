"""Which tasks a learner holds, which one is at work and which answers have yet to be delivered. Pure: events in, decisions out.

    on_task ──▶ waiting ──start──▶ at work ──on_answer──▶ to deliver ──on_delivered──▶ forgotten
                   │                  │                       │
                   └───── on_cancel, on_new_start: dropped ───┘       (what is at work runs on; its answer is dropped)

Only an answer proves delivery: a message that was sent just before a loss may not have arrived, and the controller then gives
its task again. The last `ANSWERS_KEPT_MAX` small answers are therefore kept and delivered again, instead of computed again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from fedactors.task import TaskId

TASKS_HELD_MAX = 256
"""Tasks of one learner that wait, are at work or have an answer to deliver."""

ANSWERS_KEPT_MAX = 32
"""Delivered answers that are kept for a controller that has not received them."""

Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Kept(Generic[Answer]):
    """An answer, and whether it is small enough to be kept once it was delivered."""

    answer: Answer
    small: bool


class Agenda(Generic[Task, Answer]):
    """The tasks of one learner; at most one is at work.

    A task is in one place at a time. Every event may come at any time and twice: what is not expected changes nothing.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[TaskId, Task] = OrderedDict()
        self._at_work: TaskId | None = None
        self._dropped = False  # the answer of the task at work is no longer wanted
        self._to_deliver: OrderedDict[TaskId, Kept[Answer]] = OrderedDict()
        self._delivered: OrderedDict[TaskId, Kept[Answer]] = OrderedDict()

    @property
    def held(self) -> tuple[TaskId, ...]:
        """Tasks that need not be given again: to deliver, at work and waiting, in this order."""
        at_work = () if self._at_work is None or self._dropped else (self._at_work,)
        return (*self._to_deliver, *at_work, *self._waiting)

    @property
    def at_work(self) -> TaskId | None:
        """The task that user code is busy with, wanted or not."""
        return self._at_work

    @property
    def at_work_is_wanted(self) -> bool:
        """Whether anybody waits for the answer of the task at work."""
        return self._at_work is not None and not self._dropped

    @property
    def to_deliver(self) -> tuple[Answer, ...]:
        """Answers that have yet to be delivered, in their order."""
        return tuple(kept.answer for kept in self._to_deliver.values())

    @property
    def next_answer(self) -> tuple[TaskId, Answer] | None:
        """The oldest answer that has yet to be delivered."""
        for task, kept in self._to_deliver.items():
            return task, kept.answer
        return None

    def on_task(self, task: TaskId, what: Task) -> bool:
        """A task was given; False where there is no room for it and it cannot be taken."""
        if task == self._at_work:
            self._dropped = False
        elif task in self._delivered:
            self._to_deliver[task] = self._delivered.pop(task)
        elif task not in self._waiting and task not in self._to_deliver:
            if len(self.held) >= TASKS_HELD_MAX:
                return False
            self._waiting[task] = what
        return True

    def on_restored(self, task: TaskId, answer: Answer) -> None:
        """An answer of a former process of this learner is yet to be delivered."""
        self._to_deliver[task] = Kept(answer, small=False)

    def on_cancel(self, task: TaskId) -> None:
        """Nobody wants this task's answer any more."""
        self._waiting.pop(task, None)
        self._to_deliver.pop(task, None)
        if task == self._at_work:
            self._dropped = True

    def on_new_start(self) -> None:
        """The controller does not know this learner (any more): whatever it held is void."""
        for task in self.held:
            self.on_cancel(task)
        self._delivered.clear()

    def start(self) -> tuple[TaskId, Task] | None:
        """Put the oldest waiting task to work; None if there is none, or one is at work already."""
        if self._at_work is not None or not self._waiting:
            return None
        self._at_work, what = self._waiting.popitem(last=False)
        self._dropped = False
        return self._at_work, what

    def on_answer(self, task: TaskId, answer: Answer, *, small: bool) -> None:
        """The task at work came to an end; its answer is to be delivered, unless it is no longer wanted."""
        assert task == self._at_work
        self._at_work = None
        if not self._dropped:
            self._to_deliver[task] = Kept(answer, small)

    def on_delivered(self, task: TaskId) -> None:
        """The answer was sent, or the controller refused it."""
        kept = self._to_deliver.pop(task, None)
        if kept is not None and kept.small:
            self._delivered[task] = kept
            if len(self._delivered) > ANSWERS_KEPT_MAX:
                self._delivered.popitem(last=False)
