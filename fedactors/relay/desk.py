"""Where a parent's tasks are worked off by the children: a task in, one answer out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import assert_never

from fedactors.actors.relay_messages import (
    CallOff,
    EvaluateChildren,
    InitialiseChildren,
    ToRelayController,
    TrainChildren,
)
from fedactors.dp.local import LocalPrivacy
from fedactors.errors import ConfigError, FedactorsError
from fedactors.form import Form
from fedactors.learner.desk import WHY_CHARS_MAX, Answer, Fetch, Update
from fedactors.learner.masked_rounds import MaskedRounds
from fedactors.learner.packing import Packed, Packing
from fedactors.log import get_logger
from fedactors.model import GlobalModel, Version
from fedactors.privacy.sealing import SealingSpec
from fedactors.protocol.messages import Evaluated, Task, TaskFailure
from fedactors.runtime import ActorRef
from fedactors.scope import Scope
from fedactors.task import EvaluateParams, TaskId, TrainParams, TrainReport

log = get_logger("fedactors.relay")


class RelayDesk:
    """As a learner's `Desk`, with children where that has user code. A buffer is passed on as it is.

    What the parent asks of its learners must be what this relay asks of its own: both follow from the federation's configuration.
    """

    waits_for_verdicts = False

    def __init__(self, children: ActorRef[ToRelayController], scope: Scope, privacy: LocalPrivacy | None, fetch: Fetch) -> None:
        """Prepare it.

        Args:
            children: the relay's controlling actor.
            scope: what the children are told of what travels.
            privacy: what the children do to their updates.
            fetch: gets a version from the parent.
        """
        self._children = children
        self._scope = scope
        self._privacy = privacy
        self._fetch = fetch
        self._model: GlobalModel | None = None
        self._packing = Packing()
        self._at_work: TaskId | None = None

    # ------------------------------------------------------------------------------------------------------------- the parent

    def begin(self, scope: Scope, form: Form, sealing: SealingSpec, *, resumed: bool) -> None:
        """A session with the parent has begun.

        Raises:
            ConfigError: the parent asks something else of its learners than this relay does.
        """
        told = {"local": scope.local, "shared": scope.shared}
        for key, patterns in told.items():
            if (own := getattr(self._scope, key)) != patterns:
                said = f"the parent's model.{key} is {list(patterns)}, and this relay's is {list(own)}"
                raise ConfigError(f"{said}: give both the same [model]")
        if scope.variates or sealing.method:
            what = "control variates" if scope.variates else f"updates sealed by {sealing.method!r}"
            raise ConfigError(
                f"the parent asks for {what}, which a relay cannot combine: have learners connect to the controller"
            )
        if form != self._packing.form or not resumed:
            self._packing = Packing(form)
        if not resumed:
            self._model = None
            self._call_off("the parent does not know this relay any more")

    def protect(self, terms: LocalPrivacy | None, _epsilon_max: float | None) -> None:
        """The children clip their updates and give them noise; what was protected once needs no more.

        Raises:
            ConfigError: the parent asks for other noise than the children are asked for.
        """
        if terms != self._privacy:
            raise ConfigError("the parent asks for other noise than this relay asks its learners for: give both the same [dp]")

    def mask(self, masks: MaskedRounds | None) -> None:
        """Masks are between learners that the parent knows.

        Raises:
            ConfigError: the parent asks for masked updates.
        """
        if masks is not None:
            raise ConfigError("the parent asks for masked updates, which a relay cannot combine: have learners connect to it")

    def settle(self, task: TaskId, accepted: bool) -> None:
        """Whether the update that answered this task counts; of the one at work, that it is not wanted any more."""
        self._packing.settle(task, accepted)
        if task == self._at_work and not accepted:
            self._call_off("the parent has called the task off")

    def _call_off(self, why: str) -> None:
        if self._at_work is not None:
            self._children.tell(CallOff(self._at_work, why))
            self._at_work = None

    # ------------------------------------------------------------------------------------------------------------- the children

    async def answer(self, task: Task, is_wanted: Callable[[], bool]) -> Answer:
        """Have the children do what a task asks for. Whatever goes wrong is an answer, too."""
        try:
            model = None if task.params is None else await self._version(task.version)
            if not is_wanted():
                return TaskFailure(task.id, "cancelled before it began")
            self._at_work = task.id
            return await self._ask(task, model)
        except FedactorsError as error:
            why = " ".join(str(error).split())[:WHY_CHARS_MAX] or type(error).__name__
            log.warning("task_failed", task=task.id, kind=str(task.kind), why=why)
            return TaskFailure(task.id, why)
        finally:
            self._at_work = None

    async def _version(self, version: Version) -> GlobalModel:
        if self._model is None or self._model.version != version:
            self._model = await self._fetch(version, None if self._model is None else self._model.layout)
        return self._model

    async def _ask(self, task: Task, model: GlobalModel | None) -> Answer:
        if model is None:
            first = await self._children.ask(InitialiseChildren(task.id))
            return Update(task.id, first.layout, first.buffer, TrainReport(num_examples=0, epochs=0.0), layout_known=False)
        match task.params:
            case TrainParams() as params:
                return await self._train(task.id, model, params)
            case EvaluateParams() as params:
                return Evaluated(task.id, await self._children.ask(EvaluateChildren(task.id, model, params)))
            case None:
                raise AssertionError("a task without parameters has no model")
            case unknown:
                assert_never(unknown)

    async def _train(self, task: TaskId, model: GlobalModel, params: TrainParams) -> Update:
        summed = await self._children.ask(TrainChildren(task, model, params))
        packed = await asyncio.to_thread(self._packing.pack, task, summed.buffer, model, params.seed)
        return self._update(task, packed, summed.report)

    def _update(self, task: TaskId, packed: Packed, report: TrainReport) -> Update:
        if packed.why_not is not None:
            log.warning("update_not_packed", why=packed.why_not)
        return Update(task, packed.layout, packed.buffer, report, layout_known=True)
