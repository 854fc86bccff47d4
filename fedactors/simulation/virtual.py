"""Virtual learners as actors: the controller, scheduler, aggregator and store that they talk to are the real ones.

A virtual learner takes a proxy's place. A task comes, virtual time passes as its profile says, an answer goes; a learner that
vanishes departs and joins again. There is no wire and no heartbeat: what is simulated is who does what when.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import cast

from typing_extensions import override

from fedactors.actors.learner_proxy import Neighbours
from fedactors.actors.messages import (
    Admit,
    AssignTask,
    BorrowBuffer,
    CancelTask,
    Dismiss,
    DismissAll,
    Dispatched,
    EvaluationHere,
    FindProxy,
    GetModel,
    Initialise,
    LearnerDeparted,
    LearnerJoined,
    Listening,
    Offer,
    ToGateway,
    ToLearnerProxy,
    UpdateHere,
    Verdict,
)
from fedactors.errors import Rejected
from fedactors.model import GlobalModel, Layout, LearnerId
from fedactors.protocol import Task
from fedactors.runtime import Actor, ActorRef, Restart, handle
from fedactors.selection.base import Candidate
from fedactors.simulation.population import Profile
from fedactors.simulation.work import Work
from fedactors.task import EvaluateParams, TaskId, TrainParams
from fedactors.transport import Address

EVALUATION_SHARE = 0.2
"""An evaluation takes this share of an epoch's time: one pass forward over a smaller set of data."""


@dataclass(frozen=True, slots=True)
class Worked:
    """A task's time has passed: the virtual learner tells itself.

    Attributes:
        task: the task.
        model: the version that it refers to.
    """

    task: Task
    model: GlobalModel | None


@dataclass(frozen=True, slots=True)
class Back:
    """The learner that vanished is here again: it tells itself."""


@dataclass(frozen=True, slots=True)
class Being:
    """Who a virtual learner is.

    Attributes:
        learner: its identity.
        profile: its times.
        work: what it computes.
        rng: when it fails; its own, so that others change nothing.
    """

    learner: LearnerId
    profile: Profile
    work: Work
    rng: Random


class VirtualLearner(Actor[AssignTask | CancelTask | Verdict | Dismiss | Worked | Back]):
    """Stands where a learner's proxy stands, and for the learner itself."""

    def __init__(self, being: Being, to: Neighbours) -> None:
        self._being = being
        self._to = to
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
    async def assign(self, message: AssignTask) -> None:
        """Begin a task, or vanish while at it."""
        task, profile = message.task, self._being.profile
        if not self._here:
            return
        model: GlobalModel | None = None
        if task.params is not None:
            model = await self._to.store.ask(GetModel(task.version))
        self._open.add(task.id)
        self._to.scheduler.tell(Dispatched(task.id, self._being.learner))
        seconds = self._book(self._working_s(task))
        if isinstance(task.params, TrainParams) and self._being.rng.random() < profile.failure_rate:
            self.after(seconds * self._being.rng.random(), Worked(task, None), key=task.id)
        else:
            self.after(seconds, Worked(task, model), key=task.id)

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
    async def worked(self, message: Worked) -> None:
        """The time has passed: answer."""
        task, being = message.task, self._being
        if task.id not in self._open:
            return
        self._open.discard(task.id)
        match task.params:
            case TrainParams() if message.model is None:
                self._vanish()
            case TrainParams() as params:
                assert message.model is not None, "a learner that did not fail has a model"
                buffer = await self._to.aggregator.ask(BorrowBuffer(message.model.buffer.nbytes))
                report = being.work.train(message.model, params, buffer)
                self._to.aggregator.tell(Offer(task.id, being.learner, report, buffer))
                self._to.scheduler.tell(UpdateHere(task.id, being.learner, report, buffer.nbytes, buffer.nbytes))
            case EvaluateParams() as params:
                assert message.model is not None, "an evaluation has a model"
                self._to.scheduler.tell(EvaluationHere(task.id, being.learner, being.work.evaluate(message.model, params)))
            case None:
                weights = being.work.initialise()
                layout = Layout.of(weights)
                buffer = await self._to.aggregator.ask(BorrowBuffer(layout.nbytes))
                await self._to.aggregator.ask(Initialise(being.learner, layout, layout.pack(weights, buffer)))

    def _vanish(self) -> None:
        self._here = False
        self._open.clear()
        proxy = cast("ActorRef[ToLearnerProxy]", self.ref)
        self._to.controller.tell(LearnerDeparted(self._being.learner, "lost", "it vanished while it trained", proxy))
        self.after(self._being.rng.expovariate(1 / self._being.profile.away_s), Back())

    @handle
    def back(self, _: Back) -> None:
        """It joins again, as somebody whom nobody waits for."""
        self._join()

    @handle
    def cancel_task(self, message: CancelTask) -> None:
        """The answer is not wanted any more."""
        self._open.discard(message.task)
        self.cancel(message.task)

    @handle
    def verdict(self, _: Verdict) -> None:
        """A virtual learner does not mind whether its update counts."""

    @handle
    def dismiss(self, _: Dismiss) -> None:
        """The federation is done."""
        self.stop()


class VirtualGateway(Actor[ToGateway]):
    """Where virtual learners come from: all of them are there from the beginning."""

    def __init__(self, to: Neighbours, beings: Callable[[], list[Being]]) -> None:
        self._to = to
        self._beings = beings
        self._learners: list[ActorRef[object]] = []

    @override
    def started(self) -> None:
        self._to.controller.tell(Listening((Address("memory", "simulation"),)))
        for being in self._beings():
            learner = self.spawn(partial(VirtualLearner, being, self._to), name=being.learner, restart=Restart.TEMPORARY)
            self._learners.append(cast("ActorRef[object]", learner))  # it is only told Dismiss

    @handle
    def dismiss_all(self, _: DismissAll) -> None:
        """The federation is done."""
        for learner in self._learners:
            learner.tell(Dismiss())

    @handle
    def admit(self, message: Admit) -> None:
        """Nobody else can take part."""
        raise Rejected(f"{message.hello.learner} cannot join a simulation")

    @handle
    def find(self, _: FindProxy) -> None:
        """There are no streams to find a proxy for."""
        raise Rejected("a simulation has no streams")
