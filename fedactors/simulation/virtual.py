"""Virtual learners as actors: the controller, scheduler, aggregator and store that they talk to are the real ones.

A virtual learner takes a proxy's place. A task comes, virtual time passes as its profile says, an answer goes; a learner that
vanishes departs and joins again. There is no wire and no heartbeat: what is simulated is who does what when.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from typing_extensions import override

from fedactors.actors.learner_proxy import Neighbours
from fedactors.actors.messages import (
    Admit,
    AssignTask,
    BorrowBuffer,
    CancelTask,
    DismissAll,
    EvaluationHere,
    FindProxy,
    GetModel,
    Initialise,
    LearnerDeparted,
    LearnerJoined,
    Listening,
    Offer,
    ReturnBuffer,
    ToGateway,
    ToLearnerProxy,
    UpdateHere,
    Verdict,
)
from fedactors.actors.spill import as_buffer
from fedactors.errors import Rejected
from fedactors.learner.packing import Packed
from fedactors.model import GlobalModel, Layout, LearnerId
from fedactors.protocol import Task
from fedactors.runtime import Actor, ActorRef, Restart, handle
from fedactors.selection.base import Candidate
from fedactors.simulation.agenda import Agenda
from fedactors.simulation.luck import Luck
from fedactors.simulation.population import Profile
from fedactors.simulation.work import Real, Work
from fedactors.task import EvaluateParams, TaskId, TrainParams, TrainReport
from fedactors.transport import Address

EVALUATION_SHARE = 0.2
"""An evaluation takes this share of an epoch's time: one pass forward over a smaller set of data."""


@dataclass(frozen=True, slots=True)
class Worked:
    """A task's time has passed: the agenda tells the virtual learner.

    Attributes:
        task: the task.
        model: the version that it refers to, where the learner looks at it.
        vanishes: in place of an answer.
    """

    task: Task
    model: GlobalModel | None = None
    vanishes: bool = False


@dataclass(frozen=True, slots=True)
class Back:
    """The learner that vanished is here again: the agenda tells it."""


@dataclass(frozen=True, slots=True)
class Being:
    """Who a virtual learner is.

    Attributes:
        learner: its identity.
        profile: its times.
        work: what it computes.
        luck: when it fails; its own, so that others change nothing.
    """

    learner: LearnerId
    profile: Profile
    work: Work
    luck: Luck


class VirtualLearner(Actor[AssignTask | CancelTask | Verdict | Worked | Back]):
    """Stands where a learner's proxy stands, and for the learner itself.

    One that only takes its time asks nobody for anything: its handlers are plain functions.
    """

    __slots__ = ("_agenda", "_being", "_busy_until_s", "_here", "_open", "_to")

    def __init__(self, being: Being, to: Neighbours, agenda: Agenda) -> None:
        self._being = being
        self._to = to
        self._agenda = agenda
        self._open: set[TaskId] = set()
        self._here = False
        self._busy_until_s = 0.0

    @override
    def started(self) -> None:
        self._join()

    def _join(self) -> None:
        self._here = True
        being = self._being
        candidate = Candidate(being.learner, being.profile.examples)
        proxy = cast("ActorRef[ToLearnerProxy]", self.ref)  # what else a proxy is told is about wires, which there are none of
        self._to.controller.tell(LearnerJoined(candidate, 0, proxy))

    @handle
    def assign(self, message: AssignTask) -> Coroutine[Any, Any, None] | None:
        """Begin a task, or vanish while at it."""
        if not self._here:
            return None
        if message.task.params is not None and isinstance(self._being.work, Real):
            return self._fetch(message.task)
        self._begin(message.task, None)
        return None

    async def _fetch(self, task: Task) -> None:
        model = await self._to.store.ask(GetModel(task.version))
        self._begin(task, model)

    def _begin(self, task: Task, model: GlobalModel | None) -> None:
        being = self._being
        self._open.add(task.id)
        vanishes, share = False, 1.0
        if isinstance(task.params, TrainParams) and being.profile.failure_rate:
            vanishes, share = being.luck.uniform() < being.profile.failure_rate, being.luck.uniform()
        seconds = self._book(self._working_s(task)) * (share if vanishes else 1.0)
        self._agenda.enter(self.clock.now() + seconds, self.ref, Worked(task, model, vanishes))

    def _book(self, working_s: float) -> float:
        """Seconds from now until the answer is back: tasks are worked off one at a time, as in earnest."""
        now, delay_s = self.clock.now(), self._being.profile.delay_s
        self._busy_until_s = max(self._busy_until_s, now + delay_s) + working_s
        return self._busy_until_s + delay_s - now

    def _working_s(self, task: Task) -> float:
        profile = self._being.profile
        match task.params:
            case TrainParams(epochs=epochs, steps=steps):
                return profile.training_s(epochs, steps)
            case EvaluateParams():
                return EVALUATION_SHARE * profile.epoch_s
            case None:
                return 0.0

    @handle
    def worked(self, message: Worked) -> Coroutine[Any, Any, None] | None:
        """The time has passed: answer, unless the answer is not wanted any more."""
        task = message.task
        if task.id not in self._open:
            return None
        self._open.discard(task.id)
        match task.params:
            case TrainParams() if message.vanishes:
                self._vanish()
            case TrainParams() as params:
                return self._train(task, params, message.model)
            case EvaluateParams() as params:
                self._evaluate(task, params, message.model)
            case None:
                return self._initialise()
        return None

    def _train(self, task: Task, params: TrainParams, model: GlobalModel | None) -> Coroutine[Any, Any, None] | None:
        work = self._being.work
        if isinstance(work, Real):
            assert model is not None, "a learner that trains has fetched what to train from"
            return self._really_train(work, task, params, model)
        self._hand_in(task, work.train(params), work.update, work.version.buffer.nbytes, borrowed=False)
        return None

    async def _really_train(self, work: Real, task: Task, params: TrainParams, model: GlobalModel) -> None:
        buffer = as_buffer((await self._to.aggregator.ask(BorrowBuffer(model.buffer.nbytes, in_memory=True))).buffer)
        report, packed = work.train(task.id, model, params, buffer)
        if packed.buffer is not buffer:
            self._to.aggregator.tell(ReturnBuffer(buffer))
        self._hand_in(task, report, packed, buffer.nbytes, borrowed=packed.buffer is buffer)

    def _hand_in(self, task: Task, report: TrainReport, packed: Packed, down_bytes: int, *, borrowed: bool) -> None:
        learner, to = self._being.learner, self._to
        to.aggregator.tell(Offer(task.id, learner, report, packed.buffer, borrowed, packed.form))
        to.scheduler.tell(UpdateHere(task.id, learner, report, packed.buffer.nbytes, down_bytes))

    def _evaluate(self, task: Task, params: EvaluateParams, model: GlobalModel | None) -> None:
        work = self._being.work
        if isinstance(work, Real):
            assert model is not None, "a learner that evaluates has fetched what to evaluate"
            report = work.evaluate(model, params)
        else:
            report = work.evaluate()
        self._to.scheduler.tell(EvaluationHere(task.id, self._being.learner, report))

    async def _initialise(self) -> None:
        being, aggregator = self._being, self._to.aggregator
        weights = being.work.initialise()
        layout = Layout.of(weights)
        buffer = as_buffer((await aggregator.ask(BorrowBuffer(layout.nbytes, in_memory=True))).buffer)
        await aggregator.ask(Initialise(being.learner, layout, layout.pack(weights, buffer)))

    def _vanish(self) -> None:
        self._here = False
        self._open.clear()
        being, proxy = self._being, cast("ActorRef[ToLearnerProxy]", self.ref)
        self._to.controller.tell(LearnerDeparted(being.learner, "lost", "it vanished while it trained", proxy))
        self._agenda.enter(self.clock.now() + being.luck.exponential(being.profile.away_s), self.ref, Back())

    @handle
    def back(self, _: Back) -> None:
        """It joins again, as somebody whom nobody waits for."""
        self._join()

    @handle
    def cancel_task(self, message: CancelTask) -> None:
        """The answer is not wanted any more."""
        self._open.discard(message.task)
        if isinstance(self._being.work, Real):
            self._being.work.settle(message.task, accepted=False)

    @handle
    def verdict(self, message: Verdict) -> None:
        """Whether its update counts; one that only takes its time does not mind."""
        if isinstance(self._being.work, Real):
            self._being.work.settle(message.task, message.refusal is None)


class VirtualGateway(Actor[ToGateway]):
    """Where virtual learners come from: all of them are there from the beginning."""

    def __init__(self, to: Neighbours, agenda: Agenda, beings: Callable[[], list[Being]]) -> None:
        self._to = to
        self._agenda = agenda
        self._beings = beings

    @override
    def started(self) -> None:
        self._to.controller.tell(Listening((Address("memory", "simulation"),)))
        for being in self._beings():
            factory = partial(VirtualLearner, being, self._to, self._agenda)
            self.spawn(factory, name=being.learner, restart=Restart.TEMPORARY)

    @override
    def stopped(self, reason: BaseException | None) -> None:
        self._agenda.clear()

    @handle
    def dismiss_all(self, _: DismissAll) -> None:
        """The federation is done: nothing more happens to the learners, who end with this actor."""
        self._agenda.clear()

    @handle
    def admit(self, message: Admit) -> None:
        """Nobody else can take part."""
        raise Rejected(f"{message.hello.learner} cannot join a simulation")

    @handle
    def find(self, _: FindProxy) -> None:
        """There are no streams to find a proxy for."""
        raise Rejected("a simulation has no streams")
