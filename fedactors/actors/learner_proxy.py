"""The actor that stands for one remote learner: its session, its open tasks, its transfers, and how long it may be silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from fedactors.actors.compute import Compute
from fedactors.actors.expected import Expected
from fedactors.actors.intake import Intake
from fedactors.actors.line import Line
from fedactors.actors.messages import (
    AssignTask,
    Attach,
    CancelTask,
    Dismiss,
    Dispatched,
    Displace,
    EvaluationHere,
    Expelled,
    GetBlob,
    GraceOver,
    Heard,
    Initialise,
    LearnerDeparted,
    LearnerJoined,
    MaskedTask,
    MaskingHeard,
    NotInitialised,
    Offer,
    ReturnBuffer,
    SayMasking,
    ServeFetch,
    SessionOver,
    TakePush,
    TaskUnanswered,
    ToAggregator,
    ToController,
    ToLearnerProxy,
    ToMaskBroker,
    ToModelStore,
    ToScheduler,
    UpdateHere,
    Verdict,
)
from fedactors.actors.open_tasks import OpenTask, OpenTasks
from fedactors.actors.spill import Held, as_buffer
from fedactors.aggregation import Rule, Weighting
from fedactors.errors import ActorError, ModelError, ProtocolError, Rejected, StreamClosed, TransportError, UpdateRefused
from fedactors.form import IDENTITY, Travelling
from fedactors.log import get_logger, one_line
from fedactors.protocol import (
    Cancel,
    Evaluated,
    Goodbye,
    GoodbyeReason,
    Hello,
    Masking,
    PushAnswer,
    PushOpening,
    Receiver,
    Session,
    Task,
    TaskFailure,
    answer_amid_chunks,
    answer_push,
    refuse_fetch,
    send_blob,
)
from fedactors.runtime import Actor, ActorRef, Deferred, Outcome, handle
from fedactors.selection.base import Candidate
from fedactors.task import Refusal, TaskId, TaskKind, TrainReport
from fedactors.transport import Stream

log = get_logger("fedactors.learner_proxy")


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The actors that a proxy talks to."""

    controller: ActorRef[ToController]
    scheduler: ActorRef[ToScheduler]
    aggregator: ActorRef[ToAggregator]
    store: ActorRef[ToModelStore]
    masks: ActorRef[ToMaskBroker] | None = None


@dataclass(frozen=True, slots=True)
class UploadPolicy:
    """What a proxy checks of weights that come in.

    Attributes:
        model_bytes_max: a larger model is refused before any memory is taken for it.
        weighting: an update whose report it cannot weigh is refused.
        rule: an update whose report it cannot combine is refused.
        refuse_not_finite: refuse weights with NaN or an infinity.
        form: in which updates may travel; as they are, too, if it is optional. Shared by all proxies.
    """

    model_bytes_max: int
    weighting: Weighting
    rule: Rule
    refuse_not_finite: bool = True
    form: Travelling = field(default_factory=lambda: Travelling(IDENTITY))


class LearnerProxy(Actor[ToLearnerProxy]):
    """One learner, for as long as it takes part; a connection lost for less than the grace period is no departure."""

    def __init__(
        self,
        hello: Hello,
        neighbours: Neighbours,
        policy: UploadPolicy,
        compute: Compute,
        lost_after_s: float,
        given_before: frozenset[TaskId] = frozenset(),
    ) -> None:
        self._learner = hello.learner
        self._hello = hello
        self._to = neighbours
        self._policy = policy
        self._intake = Intake(hello.learner, neighbours.aggregator, compute, policy.refuse_not_finite)
        self._lost_after_s = lost_after_s
        self._line = Line(hello.learner)
        self._tasks = OpenTasks(given_before)
        self._bytes_down = 0
        self._departed = False

    # ----------------------------------------------------------------------------------------------------------------- session

    @handle
    async def attach(self, message: Attach) -> Deferred[None]:
        """Take over a session, send what the learner does not have, take back what it need not do, and read it to its end."""
        is_new = self._line.is_new
        if not is_new:
            await self._line.leave(GoodbyeReason.DISPLACED, "the learner has opened another session")
        self.cancel("grace")
        over: Deferred[None] = self.reply_later()
        self._line.take(message.session, over)
        self.run(self._read(message.session), then=Outcome.unwrap)
        if is_new:
            hello = self._hello
            candidate = Candidate(self._learner, hello.num_train_examples, frozenset(hello.tags))
            self._to.controller.tell(LearnerJoined(candidate, hello.num_test_examples, self.ref))
        for open_task in self._tasks:
            if open_task.task.id not in message.tasks_held:
                await self._line.say(open_task.task)
        for task in sorted(message.tasks_held - self._tasks.ids):  # decided while it could not be told
            await self._line.say(Cancel(task))
        return over

    async def _read(self, session: Session) -> SessionOver:
        try:
            while True:
                match await session.receive():
                    case Goodbye(reason, why):
                        return SessionOver(session, reason is GoodbyeReason.LEFT, one_line(why) or "said goodbye")
                    case Evaluated() | TaskFailure() as message:
                        await self.ref.send(Heard(message))
                    case Masking() as said if self._to.masks is not None:
                        await self._to.masks.send(MaskingHeard(self._learner, said))
                    case Masking(task, stage):
                        log.info("stray_masking", learner=self._learner, task=task, stage=stage)
                    case other:
                        raise AssertionError(f"a session gives no {type(other).__name__} to a controller")
        except (StreamClosed, ProtocolError) as error:
            session.cut(str(error))
            return SessionOver(session, False, str(error))

    @handle
    def session_over(self, message: SessionOver) -> None:
        """A learner that said goodbye has left; one that did not gets time to come back."""
        if not self._line.uses(message.session):
            return
        self._line.close()
        if message.left:
            self._depart("left", message.why)
        else:
            silent_s = self.clock.now() - message.session.last_heard_s
            self.after(max(self._lost_after_s - silent_s, 0.0), GraceOver(), key="grace")
            log.info("learner_disconnected", learner=self._learner, why=message.why)

    @handle
    def grace_over(self, _: GraceOver) -> None:
        """The learner did not come back in time."""
        self._depart("lost", f"not heard of for {self._lost_after_s:g} s")

    @handle
    async def displace(self, _: Displace) -> None:
        """Make room for a new connection of the same learner."""
        await self._line.leave(GoodbyeReason.DISPLACED, "another process joined with the same identity")
        self._depart("displaced", "another process joined with the same identity")

    @handle
    async def dismiss(self, _: Dismiss) -> None:
        """The federation is done."""
        await self._line.leave(GoodbyeReason.FINISHED, "the federation is done")
        self.stop()

    def _depart(self, how: str, why: str) -> None:
        if not self._departed:
            self._departed = True
            self._to.controller.tell(LearnerDeparted(self._learner, how, why, self.ref))
        self.stop()

    # ------------------------------------------------------------------------------------------------------------------- tasks

    @handle
    async def assign(self, message: AssignTask) -> None:
        """Give the learner a task."""
        self._tasks.open(message.task, message.layout)
        if self._to.masks is not None and message.task.kind is TaskKind.TRAIN:
            self._to.masks.tell(MaskedTask(message.task.id, self._learner, message.task.round, self.ref))
        await self._line.say(message.task)
        self._to.scheduler.tell(Dispatched(message.task.id, self._learner))

    @handle
    async def cancel_task(self, message: CancelTask) -> None:
        """The answer is not wanted any more."""
        if self._tasks.get(message.task) is not None:
            self._tasks.decide(Verdict(message.task, Refusal.LATE, "the round went on without this update"))
            await self._line.say(Cancel(message.task))

    @handle
    async def say_masking(self, message: SayMasking) -> None:
        """The dialogue of a masked round; what a lost connection swallows is said again when the learner speaks."""
        await self._line.say(message.said)

    @handle
    async def expelled(self, message: Expelled) -> None:
        """The learner's update could not be unmasked: its task is given up."""
        if (open_task := self._tasks.get(message.task)) is not None:
            self._tasks.decide(Verdict(message.task, Refusal.MASKING, message.why))
            self._unanswered(open_task.task, Refusal.MASKING, message.why)
            await self._line.say(Cancel(message.task))

    @handle
    def verdict(self, message: Verdict) -> None:
        """The scheduler has decided; the upload that waits for it is answered."""
        self._tasks.decide(message)

    @handle
    def heard(self, message: Heard) -> None:
        """An answer that needs no weights. One to a task that is not open any more is dropped: it comes after a cancel."""
        answer = message.message
        open_task = self._tasks.get(answer.task)
        if open_task is None or open_task.delivered:
            log.info("stray_answer", learner=self._learner, task=answer.task)
            return
        self._tasks.close(open_task, Refusal.UNKNOWN_TASK, "the task was answered without weights")
        if isinstance(answer, TaskFailure):
            self._unanswered(open_task.task, Refusal.LEARNER_FAILED, one_line(answer.why))
        elif open_task.task.kind is not TaskKind.EVALUATE:
            self._unanswered(open_task.task, Refusal.BAD_REPORT, f"an evaluation answers a task to {open_task.task.kind}")
        elif (problem := answer.report.problem()) is not None:
            self._unanswered(open_task.task, Refusal.BAD_REPORT, problem)
        else:
            self._to.scheduler.tell(EvaluationHere(answer.task, self._learner, answer.report))

    def _unanswered(self, task: Task, reason: Refusal, why: str) -> None:
        if task.kind is TaskKind.INITIALISE:
            self._to.controller.tell(NotInitialised(self._learner, why))
        else:
            self._to.scheduler.tell(TaskUnanswered(task.id, self._learner, reason, why))

    # --------------------------------------------------------------------------------------------------------------- transfers

    @handle
    def serve_fetch(self, message: ServeFetch) -> Deferred[None]:
        """Send a version; other messages go on meanwhile."""
        return self._transfer(partial(self._fetch, message))

    @handle
    def take_push(self, message: TakePush) -> Deferred[None]:
        """Receive weights; other messages go on meanwhile."""
        return self._transfer(partial(self._push, message.stream, message.opening))

    def _transfer(self, work: Callable[[], Awaitable[None]]) -> Deferred[None]:
        """Run a transfer as a task of this actor. Whatever ends it early ends the stream, and is no failure of the actor."""
        deferred: Deferred[None] = self.reply_later()

        async def transfer() -> None:
            try:
                await work()  # called here: this task may be cancelled before it begins
            except (TransportError, ProtocolError, ActorError) as error:
                deferred.reject(error)
            else:
                deferred.resolve(None)

        self.run(transfer())
        return deferred

    async def _fetch(self, message: ServeFetch) -> None:
        try:
            blob = await self._to.store.ask(GetBlob(message.request.version))
        except Rejected as refusal:
            await refuse_fetch(message.stream, str(refusal))
            return
        layout_known = message.request.layout_digest == blob.layout.digest
        self._bytes_down += await send_blob(message.stream, blob, layout_known=layout_known, offset=message.request.offset)
        for open_task in self._tasks:
            if open_task.task.version == message.request.version:
                self._to.scheduler.tell(Dispatched(open_task.task.id, self._learner))

    async def _push(self, stream: Stream, opening: PushOpening) -> None:
        """Receive weights, hand them on, and answer when it is decided what becomes of them."""
        await self._tasks.given_again(opening.task)
        if (decided := self._tasks.verdict(opening.task)) is not None:
            await answer_push(stream, _said(decided))
            return
        unwanted: Receiver | None = None
        try:
            open_task, expected = self._expected(opening)
            if not open_task.delivered:
                buffer = await self._intake.take(open_task, stream, opening, expected)
                if buffer is None:
                    unwanted = open_task.receiver
                else:
                    await self._deliver(open_task, opening, expected, buffer)
            verdict = await asyncio.shield(open_task.verdict)
        except UpdateRefused as refusal:
            self._refuse_push(opening, refusal)
            verdict = Verdict(opening.task, Refusal(refusal.reason), str(refusal))
        if unwanted is None:
            await answer_push(stream, _said(verdict))
        else:
            await answer_amid_chunks(stream, _said(verdict), unwanted)

    def _expected(self, opening: PushOpening) -> tuple[OpenTask, Expected]:
        """The task that a push answers, and what must come; everything is checked before any memory is taken."""
        open_task = self._tasks.get(opening.task)
        if open_task is None or open_task.task.kind is TaskKind.EVALUATE:
            raise UpdateRefused(
                Refusal.UNKNOWN_TASK, f"{self._learner} has no open task {opening.task!r:.80} that weights answer"
            )
        if open_task.task.kind is TaskKind.TRAIN and (problem := self._problem(opening.report)) is not None:
            raise UpdateRefused(Refusal.BAD_REPORT, problem)
        policy = self._policy
        return open_task, Expected.from_opening(opening, open_task.layout, policy.form, policy.model_bytes_max)

    def _problem(self, report: TrainReport) -> str | None:
        if (problem := report.problem()) is None:
            try:
                self._policy.weighting.factor(report)
                self._policy.rule.check(report)
            except ModelError as error:
                problem = str(error)
        return problem

    async def _deliver(self, open_task: OpenTask, opening: PushOpening, expected: Expected, buffer: Held) -> None:
        """Hand weights on; those of a task that was answered or cancelled while they came are dropped."""
        task, aggregator = open_task.task, self._to.aggregator
        if open_task.delivered or open_task.verdict.done():
            aggregator.tell(ReturnBuffer(buffer))
            return
        open_task.delivered = True
        if task.kind is TaskKind.INITIALISE:
            try:
                await aggregator.ask(Initialise(self._learner, expected.model, as_buffer(buffer)))
            except Rejected as refusal:
                open_task.delivered = False
                raise UpdateRefused(Refusal.LAYOUT, str(refusal)) from refusal
            self._intake.bytes_up = 0
            self.verdict(Verdict(task.id, None, ""))
            return
        aggregator.tell(Offer(task.id, self._learner, opening.report, buffer, form=expected.form))
        up, down, self._intake.bytes_up, self._bytes_down = self._intake.bytes_up, self._bytes_down, 0, 0
        self._to.scheduler.tell(UpdateHere(task.id, self._learner, opening.report, up, down))

    def _refuse_push(self, opening: PushOpening, refusal: UpdateRefused) -> None:
        """A refused answer to an open task closes it; a stranger's changes nothing."""
        open_task = self._tasks.get(opening.task)
        if refusal.reason == Refusal.UNKNOWN_TASK or open_task is None or open_task.delivered:
            return
        self._tasks.close(open_task, Refusal(refusal.reason), str(refusal))
        self._unanswered(open_task.task, Refusal(refusal.reason), str(refusal))


def _said(verdict: Verdict) -> PushAnswer:
    return PushAnswer(verdict.refusal is None, verdict.refusal or "", verdict.why)
