"""A learner's desk whose work is done by the learner's host: a task in, its answer out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from structlog.stdlib import BoundLogger

from fedactors.dp.local import LocalPrivacy
from fedactors.errors import FedactorsError
from fedactors.form import Form
from fedactors.learner.desk import WHY_CHARS_MAX, Answer, Fetch, Update
from fedactors.learner.masked_rounds import MaskedRounds
from fedactors.log import get_logger
from fedactors.model import GlobalModel, LearnerId, Version
from fedactors.privacy.sealing import SealingSpec
from fedactors.protocol.messages import Task, TaskFailure
from fedactors.ray.errand import Errand, Reply, Session
from fedactors.ray.hosts import Hosts
from fedactors.ray.versions import Versions
from fedactors.scope import Scope
from fedactors.task import TaskId

T = TypeVar("T")


class RayDesk:
    """As a learner's `Desk`, which is on the host: this one says there what it was told, with the next task.

    Masks are put on here, since the learner's client holds the dialogue about them.
    """

    def __init__(self, learner: LearnerId, hosts: Hosts, versions: Versions, fetch: Fetch) -> None:
        """Prepare it.

        Args:
            learner: whose desk.
            hosts: one of them has, or will have, the learner.
            versions: that all learners of the federation share.
            fetch: gets a version from the controller.
        """
        self._learner = learner
        self._hosts = hosts
        self._versions = versions
        self._fetch = fetch
        self._log: BoundLogger = get_logger("fedactors.learner").bind(learner=learner)
        self._session = Session()
        self._verdicts: dict[TaskId, bool] = {}
        self._masks: MaskedRounds | None = None

    @property
    def waits_for_verdicts(self) -> bool:
        """Whether a training may begin only when it is known what became of the one before."""
        return self._session.scope.variates

    def begin(self, scope: Scope, form: Form, sealing: SealingSpec, *, resumed: bool) -> None:
        """A session has begun. What cannot be kept to is a failure of its tasks."""
        former = self._session
        self._session = Session(former.epoch if resumed else former.epoch + 1, scope, form, sealing, former.privacy)

    def protect(self, terms: LocalPrivacy | None, epsilon_max: float | None) -> None:
        """Updates are clipped and given noise, on the host."""
        assert epsilon_max is None, "a learner of the controller's own process has no limit of its own"
        self._session = replace(self._session, privacy=terms)

    def mask(self, masks: MaskedRounds | None) -> None:
        """Updates leave under masks."""
        self._masks = masks

    def settle(self, task: TaskId, accepted: bool) -> None:
        """Whether an update counts; its host hears of it with the next task."""
        self._verdicts[task] = accepted

    async def answer(self, task: Task, is_wanted: Callable[[], bool]) -> Answer:
        """Have the host do what a task asks for, when it is this learner's turn. Whatever goes wrong is an answer, too."""
        try:
            async with self._hosts.turn(self._learner) as host:
                if not is_wanted():
                    return TaskFailure(task.id, "cancelled before it began")
                run = partial(self._hosts.run, host, self._errand(task), self._learner)
                if task.params is None:
                    return self._told(await run(None))
                async with self._versions.held(task.version, self._version) as reference:
                    answer = self._told(await run(reference))
                    if self._masks is not None and isinstance(answer, Update):
                        return await self._masked(self._masks, answer, reference)
                    return answer
        except FedactorsError as error:
            failure = TaskFailure(task.id, " ".join(str(error).split())[:WHY_CHARS_MAX])
            if is_wanted():
                self._log.warning("task_failed", task=task.id, kind=str(task.kind), why=failure.why)
            return failure

    def _errand(self, task: Task) -> Errand:
        verdicts, self._verdicts = self._verdicts, {}
        return Errand(task, self._session, tuple(verdicts.items()))

    async def _version(self, version: Version) -> GlobalModel:
        return await self._fetch(version, None)

    def _told(self, reply: Reply) -> Answer:
        for level, event, fields in reply.said:
            getattr(self._log, level)(event, **fields)
        return reply.answer

    async def _masked(self, masks: MaskedRounds, plain: Update, reference: Any) -> Update:
        base: GlobalModel = await reference
        masked = await masks.mask(plain.task, plain.buffer, base, plain.report, _threaded)
        if masked.clipped:
            self._log.warning("update_clipped", task=plain.task, parameters=masked.clipped, clip=masks.form.clip)
        return Update(plain.task, masked.layout, masked.buffer, masked.report, layout_known=True)


async def _threaded(job: Callable[[], T], /) -> T:
    return await asyncio.to_thread(job)
