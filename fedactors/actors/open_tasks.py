"""One learner's tasks: those that it has not answered, and what was decided of those it has.

An upload waits for the verdict on its task. Verdicts are remembered for a while, for an upload that is tried again because its
answer was lost; and an answer that comes before its task is given again, after a restart, waits until it is.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, KeysView
from dataclasses import dataclass, field

from fedactors.actors.messages import Verdict
from fedactors.actors.spill import Held
from fedactors.model import Layout
from fedactors.protocol import Receiver, Task
from fedactors.task import Refusal, TaskId, TaskKind

GIVEN_AGAIN_S = 30.0
"""How long an answer to a task of a former life waits for the task to be given again."""
DECIDED_MAX = 16
"""Verdicts on one learner's updates that are remembered, the newest."""


@dataclass(slots=True)
class OpenTask:
    """A task that the learner has not answered.

    Attributes:
        task: as it is sent.
        layout: the global model's; None while there is none.
        delivered: an update is with the scheduler; a second copy of it, from a push that was tried again, is dropped.
        verdict: what the scheduler decided of the update, once it has.
        attempt: the last attempt to receive the update.
        receiver: of that attempt, from its grant on.
    """

    task: Task
    layout: Layout | None
    delivered: bool = False
    verdict: asyncio.Future[Verdict] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    attempt: asyncio.Task[Held] | None = None
    receiver: Receiver | None = None

    def conclude(self, verdict: Verdict) -> None:
        """Answer the upload that waits; the first verdict holds."""
        if not self.verdict.done():
            self.verdict.set_result(verdict)


class OpenTasks:
    """The tasks of one learner.

    Args:
        given_before: tasks of a former life that may be given again.
    """

    def __init__(self, given_before: frozenset[TaskId] = frozenset()) -> None:
        self._given_before = given_before
        self._open: dict[TaskId, OpenTask] = {}
        self._decided: OrderedDict[TaskId, Verdict] = OrderedDict()
        self._again: dict[TaskId, asyncio.Future[None]] = {}

    def __iter__(self) -> Iterator[OpenTask]:
        return iter(list(self._open.values()))

    @property
    def ids(self) -> KeysView[TaskId]:
        """Of those that are open."""
        return self._open.keys()

    def get(self, task: TaskId) -> OpenTask | None:
        """An open task; None: it is not."""
        return self._open.get(task)

    def open(self, task: Task, layout: Layout | None) -> None:
        """The learner is given a task, or is given it again."""
        self._open[task.id] = OpenTask(task, layout)
        self._is_given_again(task.id)

    def decide(self, verdict: Verdict) -> OpenTask | None:
        """Close a task with a verdict; the task, if it was open. That no update was decided on is not remembered."""
        open_task = self._open.pop(verdict.task, None)
        if open_task is None or open_task.task.kind is TaskKind.TRAIN:
            self._decided[verdict.task] = verdict
            if len(self._decided) > DECIDED_MAX:
                self._decided.popitem(last=False)
        self._is_given_again(verdict.task)
        if open_task is not None:
            open_task.conclude(verdict)
        return open_task

    def close(self, open_task: OpenTask, reason: Refusal, why: str) -> None:
        """Close a task that nothing was decided of; other weights that are on their way for it answer nothing any more."""
        task = open_task.task.id
        del self._open[task]
        open_task.conclude(Verdict(task, reason, why))

    def verdict(self, task: TaskId) -> Verdict | None:
        """What was decided of an update; None: nothing was, or it is forgotten."""
        return self._decided.get(task)

    async def given_again(self, task: TaskId) -> None:
        """A learner that outlived a restart may answer a task before it is given again: wait for that, for a while."""
        if task in self._given_before and task not in self._open and task not in self._decided:
            again = self._again.setdefault(task, asyncio.get_running_loop().create_future())
            await asyncio.wait([again], timeout=GIVEN_AGAIN_S)

    def _is_given_again(self, task: TaskId) -> None:
        if (again := self._again.pop(task, None)) is not None:
            again.set_result(None)
