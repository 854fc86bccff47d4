"""Where a learner's tasks are worked off, one at a time: a task in, its answer out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias, assert_never

from structlog.stdlib import BoundLogger

from fedactors.dp.local import LocalPrivacy, Protection
from fedactors.errors import ConfigError, FedactorsError
from fedactors.form import IDENTITY, Form
from fedactors.learner.base import Learner
from fedactors.learner.masked_rounds import MaskedRounds
from fedactors.learner.packing import Packing
from fedactors.learner.sealed import trainee as trainee_of
from fedactors.learner.trainee import Trainee
from fedactors.learner.worker import Work
from fedactors.model import Buffer, GlobalModel, Layout, Version
from fedactors.privacy.sealing import UNSEALED, Key, SealingSpec
from fedactors.protocol.buffers import ReusedMemory
from fedactors.protocol.messages import Evaluated, Task, TaskFailure
from fedactors.scope import WHOLE, Scope
from fedactors.task import EvaluateParams, TaskId, TrainParams, TrainReport

WHY_CHARS_MAX = 1000
"""Of a failure's one line."""
UPDATE_KEPT_BYTES_MAX = 256 * 1024 * 1024
"""The memory of an update up to this size is kept for the next one; that of a larger one is the learner's own while it trains."""


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """Weights to be pushed.

    Attributes:
        task: which they answer.
        layout: of the buffer.
        buffer: uint8[layout.nbytes].
        report: what the learner says of its training.
        layout_known: the layout follows from the global model's; it need not travel.
    """

    task: TaskId
    layout: Layout
    buffer: Buffer
    report: TrainReport
    layout_known: bool


Answer: TypeAlias = Update | Evaluated | TaskFailure

Fetch: TypeAlias = Callable[[Version, Layout | None], Awaitable[GlobalModel]]
"""Gets a version of the global model, given a layout that is known already."""


class AnyDesk(Protocol):
    """What works a client's tasks off. `Desk` says what each method promises."""

    @property
    def waits_for_verdicts(self) -> bool:
        """Whether a training may begin only when it is known what became of the one before."""

    def begin(self, scope: Scope, form: Form, sealing: SealingSpec, *, resumed: bool) -> None:
        """A session has begun."""

    def protect(self, terms: LocalPrivacy | None, epsilon_max: float | None, /) -> None:
        """Updates are clipped and given noise."""

    def mask(self, masks: MaskedRounds | None) -> None:
        """Updates leave under masks."""

    def settle(self, task: TaskId, accepted: bool) -> None:
        """Whether an update counts, or is wanted at all."""

    async def answer(self, task: Task, is_wanted: Callable[[], bool]) -> Answer:
        """Do what a task asks for."""


MakeDesk: TypeAlias = Callable[[Fetch], AnyDesk]


class Desk:
    """One learner at work.

    It keeps the version of the global model that it fetched last, so that training and evaluation of one version share one
    download. A version's buffer is not written to as long as anybody has a view of it: user code may have kept some.
    """

    def __init__(self, learner: Learner, work: Work, fetch: Fetch, log: BoundLogger, key: Key | None = None) -> None:
        self._learner = learner
        self._key = key
        self._scope = WHOLE
        self._sealing: SealingSpec | None = None
        self._trainee = Trainee(learner)
        self._work = work
        self._fetch = fetch
        self._log = log
        self._model: GlobalModel | None = None
        self._packing = Packing()
        self._memory = ReusedMemory(UPDATE_KEPT_BYTES_MAX)
        self._masks: MaskedRounds | None = None
        self._protection: Protection | None = None
        self._cast_is_told = False
        self._unpacked_is_told = False

    def begin(self, scope: Scope, form: Form = IDENTITY, sealing: SealingSpec = UNSEALED, *, resumed: bool = False) -> None:
        """A session has begun: this is what travels, in which form, and how it is sealed, says the controller.

        One that does not go on with the last one, as `resumed` says, begins with nothing held back.

        Raises:
            ConfigError: this learner's key is not for that sealing, or one of the two is not there.
        """
        if (scope, sealing) != (self._scope, self._sealing):
            self._trainee = trainee_of(self._learner, scope, sealing, self._key)
            self._scope, self._sealing = scope, sealing
        if form != self._packing.form or not resumed:
            self._packing = Packing(form)
        if not resumed:
            self._model = None  # another controller's version of the same number is another model

    def protect(self, terms: LocalPrivacy | None, epsilon_max: float | None) -> None:
        """Updates are clipped and given noise as these terms say; None: they leave as they are.

        Raises:
            ConfigError: they say nothing, or something else than before, and this learner counts what it has told.
        """
        if terms is None and epsilon_max is not None:
            said = f"this learner tells no more than epsilon {epsilon_max:g}, and the federation asks for no noise"
            raise ConfigError(f"{said}; write mechanism = 'local' in the controller's table [dp], or take the limit away")
        if terms is not None and self._scope.variates:
            raise ConfigError("the controller asks for control variates, from which updates follow without their noise")
        if self._protection is not None and terms != self._protection.terms:
            raise ConfigError("the controller asks for other noise than before; start this learner anew, to count anew")
        if self._protection is None and terms is not None:
            self._protection = Protection(terms, epsilon_max)
        self._trainee.protection = self._protection

    def mask(self, masks: MaskedRounds | None) -> None:
        """Updates leave under the masks of these rounds; None: under none."""
        self._masks = masks

    @property
    def waits_for_verdicts(self) -> bool:
        """Whether a training may begin only when it is known what became of the one before."""
        return self._scope.variates

    def settle(self, task: TaskId, accepted: bool) -> None:
        """Whether the update that answered this task counts."""
        self._trainee.settle(task, accepted)
        self._packing.settle(task, accepted)

    async def answer(self, task: Task, is_wanted: Callable[[], bool]) -> Answer:
        """Do what a task asks for. Whatever goes wrong is an answer, too.

        Args:
            task: what to do.
            is_wanted: asked once the weights are here: whether it is still worth while to begin.
        """
        try:
            model = None if task.params is None else await self._version(task.version)
            if not is_wanted():
                return TaskFailure(task.id, "cancelled before it began")
            answer = await self._work(partial(self._do, self._trainee, self._packing, task, model))
            if self._masks is not None and model is not None and isinstance(answer, Update):
                return await self._masked(self._masks, answer, model)
            return answer
        except FedactorsError as error:
            failure = TaskFailure(task.id, " ".join(str(error).split())[:WHY_CHARS_MAX])
            if is_wanted():
                self._log.warning("task_failed", task=task.id, kind=str(task.kind), why=failure.why)
                self._log.debug("task_failed_traceback", task=task.id, exc_info=error)
            return failure

    async def _masked(self, masks: MaskedRounds, plain: Update, base: GlobalModel) -> Update:
        masked = await masks.mask(plain.task, plain.buffer, base, plain.report, self._work)
        if masked.clipped:
            self._log.warning("update_clipped", task=plain.task, parameters=masked.clipped, clip=masks.form.clip)
        return Update(plain.task, masked.layout, masked.buffer, masked.report, layout_known=True)

    async def _version(self, version: Version) -> GlobalModel:
        if self._model is None or self._model.version != version:
            known = None if self._model is None else self._model.layout
            self._model = None  # so that the next one may have its memory
            self._model = await self._fetch(version, known)
        return self._model

    def _do(self, trainee: Trainee, packing: Packing, task: Task, model: GlobalModel | None) -> Answer:
        """Runs in the learner's thread; weights are packed here, before its code is called again."""
        try:
            if model is None:
                return self._initialise(trainee, task.id)
            match task.params:
                case TrainParams() as params:
                    return self._train(trainee, packing, task.id, model, params)
                case EvaluateParams() as params:
                    return Evaluated(task.id, trainee.evaluate(model, params))
                case None:
                    raise AssertionError("a task without parameters has no model")
                case unknown:
                    assert_never(unknown)
        finally:
            self._tell_unmatched(trainee)

    def _initialise(self, trainee: Trainee, task: TaskId) -> Update:
        weights = trainee.initialise()
        layout = Layout.of(weights)
        return Update(task, layout, layout.pack(weights), TrainReport(num_examples=0, epochs=0.0), layout_known=False)

    def _train(self, trainee: Trainee, packing: Packing, task: TaskId, model: GlobalModel, params: TrainParams) -> Update:
        trained = trainee.train(task, model, params)
        if trained.cast and not self._cast_is_told:
            self._cast_is_told = True
            name = trained.cast[0]
            to = str(trained.weights[name].dtype) if name in trained.weights else "the model's"  # which is sealed by now
            self._log.warning("weights_cast", tensor=name, tensors=len(trained.cast), to=to)
        update = model.layout.pack(trained.weights, self._memory.take(model.layout.nbytes))
        packed = packing.pack(task, update, model, params.seed)
        if packed.why_not is not None and not self._unpacked_is_told:
            self._unpacked_is_told = True
            self._log.warning("update_not_packed", why=packed.why_not)
        return Update(task, packed.layout, packed.buffer, trained.report, layout_known=True)

    def _tell_unmatched(self, trainee: Trainee) -> None:
        unmatched, trainee.unmatched = trainee.unmatched, ()
        for key, pattern in unmatched:
            self._log.warning("pattern_matches_nothing", key=key, pattern=pattern)
