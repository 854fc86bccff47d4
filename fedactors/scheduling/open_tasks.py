"""The book of tasks that are given and not yet answered."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from fedactors.model import LearnerId, Version
from fedactors.scheduling.base import OpenTask
from fedactors.task import Round, TaskId

_Key = TypeVar("_Key")


class OpenTasks:
    """Open tasks by id, by learner, and by round and kind; every operation takes constant time for each task it touches.

    Tasks are listed in the order in which they were given, so that the same events give the same commands.
    """

    __slots__ = ("_by_learner", "_by_round", "_tasks", "_training")

    def __init__(self) -> None:
        self._tasks: dict[TaskId, OpenTask] = {}
        self._training: OrderedDict[TaskId, Version] = OrderedDict()  # a dict's first key is not found in constant time
        self._by_learner: dict[LearnerId, dict[TaskId, None]] = {}
        self._by_round: dict[tuple[Round, bool], dict[TaskId, None]] = {}

    def open(self, task: TaskId, entry: OpenTask) -> None:
        """Enter a task that is being given."""
        assert task not in self._tasks, f"task id {task} was used before"
        self._tasks[task] = entry
        if entry.train:
            self._training[task] = entry.version
        self._by_learner.setdefault(entry.learner, {})[task] = None
        self._by_round.setdefault((entry.round, entry.train), {})[task] = None

    def close(self, task: TaskId) -> OpenTask:
        """Strike out a task that is open."""
        entry = self._tasks.pop(task)
        self._training.pop(task, None)
        _discard(self._by_learner, entry.learner, task)
        _discard(self._by_round, (entry.round, entry.train), task)
        return entry

    def get(self, task: TaskId) -> OpenTask | None:
        """The open task of this id; None if there is none."""
        return self._tasks.get(task)

    def of_learner(self, learner: LearnerId) -> list[TaskId]:
        """The learner's open tasks."""
        return list(self._by_learner.get(learner, ()))

    @property
    def num_training(self) -> int:
        """How many training tasks are open."""
        return len(self._training)

    @property
    def training(self) -> list[TaskId]:
        """Every open training task."""
        return list(self._training)

    @property
    def oldest_base(self) -> Version | None:
        """The version that the training task open for longest starts from; None where none is open."""
        return next(iter(self._training.values()), None)

    def of_round(self, round_: Round, *, train: bool) -> list[TaskId]:
        """The round's open training tasks, or its open evaluation tasks."""
        return list(self._by_round.get((round_, train), ()))

    def any_of_round(self, round_: Round, *, train: bool) -> bool:
        """Whether the round has an open training task, or an open evaluation task."""
        return (round_, train) in self._by_round


def _discard(index: dict[_Key, dict[TaskId, None]], key: _Key, task: TaskId) -> None:
    tasks = index[key]
    del tasks[task]
    if not tasks:
        del index[key]
