"""The whole dialogue of the actors, on one page.

    Gateway ──spawns──▶ LearnerProxy ──LearnerJoined, LearnerDeparted──▶ Controller ──MemberJoined, MemberDeparted──▶ Scheduler
    Scheduler ──AssignTask, CancelTask──▶ LearnerProxy ══ the wire ══▶ learner
    LearnerProxy ──UpdateHere──▶ Scheduler          (what was reported)
    LearnerProxy ──Offer──▶ Aggregator              (the tensors)
    Scheduler ──FoldUpdate, DropUpdate, Recall, CombineRound──▶ Aggregator ──PutModel, GetUpdate──▶ ModelStore
    Aggregator ──Combined, NotCombined──▶ Scheduler ──RoundCommitted, RoundEnded──▶ Controller ──GrantRound, FinishUp──▶ Scheduler
    Scheduler ──BeginMasking──▶ MaskBroker ◀──MaskingHeard, SayMasking──▶ LearnerProxy;  Aggregator ──UnmaskRound──▶ MaskBroker

A class that derives from `Request[R]` is asked and answered with an R; the others are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedactors.access.callers import Caller
from fedactors.actors.spill import Held
from fedactors.actors.training_plan import TrainingPlan
from fedactors.actors.upload_slots import Loan, UploadId
from fedactors.form import IDENTITY, Form
from fedactors.journal import Counted, UnendedRound
from fedactors.model import Buffer, GlobalModel, Layout, LearnerId, Version
from fedactors.privacy.masking.unmasking import Unmasking
from fedactors.protocol import EncodedBlob, Evaluated, FetchRequest, Hello, Masking, PushOpening, Session, Task, TaskFailure, Verb
from fedactors.record import Event, EventKind, RoundRecord
from fedactors.runtime import ActorRef, Request
from fedactors.selection.base import Candidate
from fedactors.storage.entries import Entry, LearnerModel, Model, RuleState
from fedactors.task import EvaluationReport, Refusal, Round, TaskId, TrainReport
from fedactors.transport import Address, Stream

# ------------------------------------------------------------------------------------------------------------ to the Controller


@dataclass(frozen=True, slots=True)
class Order(Request[None]):
    """An order of a driver or an operator. Rejected, with the reason, where it makes no sense now."""

    verb: Verb
    why: str = ""


@dataclass(frozen=True, slots=True)
class GetStatus(Request[Mapping[str, Any]]):
    """The state of the federation, in plain maps and numbers."""


@dataclass(frozen=True, slots=True)
class EventsFrom(Request[tuple[Event, ...]]):
    """Every event from this number on; answered when there are enough, or with what there is once the federation is done.

    Attributes:
        number: of the first.
        at_least: that are waited for, >= 1.
    """

    number: int
    at_least: int = 1


@dataclass(frozen=True, slots=True)
class Publish:
    """News for whoever watches."""

    kind: EventKind
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GetAddresses(Request[tuple[Address, ...]]):
    """Where learners can connect; answered when the gateway listens, with an AddressError where it cannot."""


@dataclass(frozen=True, slots=True)
class Listening:
    """The gateway takes connections at these addresses."""

    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class NotListening:
    """The gateway cannot listen; there is no federation without it."""

    why: Exception


@dataclass(frozen=True, slots=True)
class LearnerJoined:
    """A learner is connected, or connected anew."""

    candidate: Candidate
    num_test_examples: int
    proxy: ActorRef[ToLearnerProxy]


@dataclass(frozen=True, slots=True)
class LearnerDeparted:
    """A learner is gone. `proxy` tells it from a later connection of the same learner."""

    learner: LearnerId
    how: str
    why: str
    proxy: ActorRef[ToLearnerProxy]


@dataclass(frozen=True, slots=True)
class Initialised:
    """The model store has version 0."""

    source: str
    model: GlobalModel


@dataclass(frozen=True, slots=True)
class NotInitialised:
    """A learner that was asked for the initial weights gave none."""

    learner: LearnerId
    why: str


@dataclass(frozen=True, slots=True)
class SchedulerReady:
    """A scheduler, the first or a restarted one, waits for BeginTraining."""


@dataclass(frozen=True, slots=True)
class RoundCommitted:
    """A round produced a version, of so many updates; `training`: as BeginTraining said."""

    round: Round
    version: Version
    updates: int
    training: str = ""


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """Everything about a committed round is known; `training`: as BeginTraining said."""

    record: RoundRecord
    training: str = ""


@dataclass(frozen=True, slots=True)
class TrainingOver:
    """The scheduler has ended, as it was told to, or because there is no going on; `training`: as BeginTraining said."""

    failure: str | None = None
    training: str = ""


@dataclass(frozen=True, slots=True)
class DurationOver:
    """The wall-clock stop condition: the controller tells itself."""


@dataclass(frozen=True, slots=True)
class TooFewLearners:
    """Too few learners were here for too long: the controller tells itself."""


@dataclass(frozen=True, slots=True)
class ReturnOver:
    """Learners that were here before a restart had time to come back: the controller tells itself."""


@dataclass(frozen=True, slots=True)
class LingerOver:
    """Nobody came for the results: the controller tells itself."""


ToController = (
    Order
    | GetStatus
    | EventsFrom
    | Publish
    | GetAddresses
    | Listening
    | NotListening
    | LearnerJoined
    | LearnerDeparted
    | Initialised
    | NotInitialised
    | SchedulerReady
    | RoundCommitted
    | RoundEnded
    | TrainingOver
    | DurationOver
    | TooFewLearners
    | ReturnOver
    | LingerOver
)

# ------------------------------------------------------------------------------------------------------------- to the Scheduler


@dataclass(frozen=True, slots=True)
class BeginTraining:
    """There is a model: schedule from this version and round on.

    Attributes:
        plan: from now on; None: as before.
        training: a name that comes back with what becomes of it, where one training follows another.
    """

    layout: Layout
    version: Version
    first_round: Round
    plan: TrainingPlan | None = None
    training: str = ""


@dataclass(frozen=True, slots=True)
class EvaluateAgain:
    """A round was committed before the scheduler began, and has not ended; `last`: no other follows it."""

    round: UnendedRound
    last: bool


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """A learner can be given tasks, through its proxy."""

    candidate: Candidate
    proxy: ActorRef[ToLearnerProxy]


@dataclass(frozen=True, slots=True)
class MemberDeparted:
    """A learner's open tasks will not be answered."""

    learner: LearnerId


@dataclass(frozen=True, slots=True)
class GrantRound:
    """The next round may begin; `last`: no other will follow it."""

    last: bool


@dataclass(frozen=True, slots=True)
class FinishUp:
    """Begin no further round, and end what is open."""

    combine_open: bool


@dataclass(frozen=True, slots=True)
class Dispatched:
    """A task, and the weights it refers to, have left for the learner."""

    task: TaskId
    learner: LearnerId


@dataclass(frozen=True, slots=True)
class UpdateHere:
    """An update is whole and well formed; its tensors are with the aggregator."""

    task: TaskId
    learner: LearnerId
    report: TrainReport
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True, slots=True)
class NotRecalled:
    """An update that counted before a restart cannot be read: its learner has to train again."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class EvaluationHere:
    """A learner has evaluated."""

    task: TaskId
    learner: LearnerId
    report: EvaluationReport


@dataclass(frozen=True, slots=True)
class TaskUnanswered:
    """A learner that is still here did not answer a task, or its answer cannot be taken."""

    task: TaskId
    learner: LearnerId
    reason: Refusal
    why: str


@dataclass(frozen=True, slots=True)
class Combined:
    """The new version is kept."""

    round: Round
    version: Version


@dataclass(frozen=True, slots=True)
class NotCombined:
    """The round could not be combined; the global model is unchanged."""

    round: Round
    why: str


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """A deadline of the protocol: the scheduler tells itself."""

    key: str


ToScheduler = (
    BeginTraining
    | EvaluateAgain
    | MemberJoined
    | MemberDeparted
    | GrantRound
    | FinishUp
    | Dispatched
    | UpdateHere
    | NotRecalled
    | EvaluationHere
    | TaskUnanswered
    | Combined
    | NotCombined
    | DeadlineReached
)

# ------------------------------------------------------------------------------------------------------------ to the Aggregator


@dataclass(frozen=True, slots=True)
class BorrowBuffer(Request[Loan]):
    """A buffer to receive a model into; answered when there is a place.

    Offer, Initialise, ReturnBuffer or ParkBuffer give it back.

    Attributes:
        nbytes: of the model.
        learner: whose update it is; empty: a driver's.
        upload: which upload it is, if it may go on where an earlier attempt was cut.
        in_memory: one in memory is needed, although updates wait elsewhere.
    """

    nbytes: int
    learner: LearnerId = ""
    upload: UploadId | None = None
    in_memory: bool = False


@dataclass(frozen=True, slots=True)
class ReturnBuffer:
    """The upload came to nothing."""

    buffer: Held


@dataclass(frozen=True, slots=True)
class ParkBuffer:
    """The upload was cut: so much of it is here for another attempt, for a while and if nobody else needs the memory."""

    upload: UploadId
    loan: Loan


@dataclass(frozen=True, slots=True)
class UploadGivenUp:
    """There was no other attempt in time: the aggregator tells itself."""

    upload: UploadId


@dataclass(frozen=True, slots=True)
class UploadsOverdue:
    """Somebody waits for a place, and an upload takes longer than it should: the aggregator tells itself."""


@dataclass(frozen=True, slots=True)
class RoomThere:
    """There may be memory for uploads that was not there: the aggregator has itself told so."""


@dataclass(frozen=True, slots=True)
class Initialise(Request[None]):
    """These weights become version 0; the controller is told Initialised. Rejected where there is a model already."""

    source: str
    layout: Layout
    buffer: Buffer


@dataclass(frozen=True, slots=True)
class Offer:
    """The tensors of an update, until the scheduler says what becomes of them.

    Attributes:
        borrowed: the buffer goes back to where it was borrowed; otherwise it is the sender's own, who never writes to it again.
        form: of what is in the buffer, in which there is no problem.
    """

    task: TaskId
    learner: LearnerId
    report: TrainReport
    buffer: Held
    borrowed: bool = True
    form: Form = IDENTITY


@dataclass(frozen=True, slots=True)
class FoldUpdate:
    """Fold an offered update into the open round.

    Attributes:
        round: in which it counts.
        answer_to: is told that it counts, once that is not forgotten any more; None: nobody waits for it.
    """

    task: TaskId
    staleness: int
    round: Round
    answer_to: ActorRef[ToLearnerProxy] | None


@dataclass(frozen=True, slots=True)
class Recall:
    """Offer an update that counted before a restart as the answer to this task; the sender is told UpdateHere or NotRecalled."""

    task: TaskId
    counted: Counted
    reply_to: ActorRef[ToScheduler]


@dataclass(frozen=True, slots=True)
class ForgetLearner:
    """A learner has left: a rule that keeps its update from round to round keeps it no more."""

    learner: LearnerId


@dataclass(frozen=True, slots=True)
class DropUpdate:
    """An offered update does not count."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class CombineRound:
    """Make a new version from what was folded since the last one.

    Attributes:
        round: its round.
        reply_to: is told Combined or NotCombined.
        unused: versions but the newest that nobody trains from any more, since this was last said.
    """

    round: Round
    reply_to: ActorRef[ToScheduler]
    unused: tuple[Version, ...] = ()


@dataclass(frozen=True, slots=True)
class ForgetBases:
    """Nobody trains from any version but the newest, for the scheduler has begun anew."""


@dataclass(frozen=True, slots=True)
class DropRound:
    """Forget what was folded since the last version."""


ToAggregator = (
    BorrowBuffer
    | ReturnBuffer
    | ParkBuffer
    | UploadGivenUp
    | UploadsOverdue
    | RoomThere
    | Initialise
    | Offer
    | FoldUpdate
    | Recall
    | ForgetLearner
    | DropUpdate
    | CombineRound
    | ForgetBases
    | DropRound
)

# ---------------------------------------------------------------------------------------------------------- to the MaskBroker


@dataclass(frozen=True, slots=True)
class BeginMasking:
    """A round begins with this cohort: its members agree on masks while they train."""

    round: Round
    cohort: tuple[LearnerId, ...]


@dataclass(frozen=True, slots=True)
class EndMasking:
    """A round was given up, and its masks with it."""

    round: Round


@dataclass(frozen=True, slots=True)
class MaskedTask:
    """A learner was given the task whose answer will be masked."""

    task: TaskId
    learner: LearnerId
    round: Round
    proxy: ActorRef[ToLearnerProxy]


@dataclass(frozen=True, slots=True)
class MaskingHeard:
    """A learner said something of its masks."""

    learner: LearnerId
    said: Masking


@dataclass(frozen=True, slots=True)
class MaskingOverdue:
    """A stage of the dialogue lasts too long: the broker tells itself."""

    round: Round
    stage: str


@dataclass(frozen=True, slots=True)
class UnmaskRound(Request[Unmasking]):
    """What it takes to read the sum of these learners' updates. Rejected, with the reason, where too few are left to say so."""

    round: Round
    learners: tuple[LearnerId, ...]


ToMaskBroker = BeginMasking | EndMasking | MaskedTask | MaskingHeard | MemberDeparted | MaskingOverdue | UnmaskRound

# ----------------------------------------------------------------------------------------------------------- to the ModelStore


@dataclass(frozen=True, slots=True)
class PutModel(Request[None]):
    """Keep a version, what a learner sent back, or what the rule keeps with a version that is about to be kept."""

    model: Model


@dataclass(frozen=True, slots=True)
class ReplaceModels(Request[None]):
    """Keep this version, which was made elsewhere, and no other."""

    model: GlobalModel


@dataclass(frozen=True, slots=True)
class GetUpdate(Request[LearnerModel]):
    """What a learner sent back. Rejected where it is not there any more."""

    learner: LearnerId
    sequence: int


@dataclass(frozen=True, slots=True)
class ForgetUpdates:
    """What these learners sent back is in a version now."""

    learners: tuple[LearnerId, ...]


@dataclass(frozen=True, slots=True)
class GetRuleStates(Request[list[RuleState]]):
    """What the rule kept with this version, the newest."""

    version: Version


@dataclass(frozen=True, slots=True)
class ForgetRuleStates:
    """The rule keeps nothing of these learners any more; None: nothing but updates of learners."""

    learners: tuple[LearnerId | None, ...]


@dataclass(frozen=True, slots=True)
class DescribeVersion:
    """Write down where a version came from, and how good it is."""

    record: RoundRecord


@dataclass(frozen=True, slots=True)
class GetVersions(Request[list[Entry]]):
    """What is kept of the versions, oldest first. Rejected where it cannot be read."""


@dataclass(frozen=True, slots=True)
class GetModel(Request[GlobalModel]):
    """A version, or the newest. Rejected where the store has none such."""

    version: Version | None = None


@dataclass(frozen=True, slots=True)
class GetBlob(Request[EncodedBlob]):
    """A version, or the newest, as frames to send: encoded once and shared by all who fetch it."""

    version: Version | None = None


ToModelStore = (
    PutModel
    | ReplaceModels
    | GetUpdate
    | ForgetUpdates
    | GetRuleStates
    | ForgetRuleStates
    | DescribeVersion
    | GetVersions
    | GetModel
    | GetBlob
)

# --------------------------------------------------------------------------------------------------------- to a LearnerProxy


@dataclass(frozen=True, slots=True)
class Attach(Request[None]):
    """A session with the learner, the first or a resumed one; answered when it is over.

    Attributes:
        session: owned by the proxy from now on.
        tasks_held: open tasks that the learner has and need not be sent again.
    """

    session: Session
    tasks_held: frozenset[TaskId]


@dataclass(frozen=True, slots=True)
class Displace:
    """Another connection with the same identity takes over."""


@dataclass(frozen=True, slots=True)
class Dismiss:
    """The federation is done: say goodbye."""


@dataclass(frozen=True, slots=True)
class AssignTask:
    """Give the learner a task; `layout` is the global model's, None for the task that asks for the first weights."""

    task: Task
    layout: Layout | None


@dataclass(frozen=True, slots=True)
class CancelTask:
    """The answer to a task is not wanted any more."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an update."""

    task: TaskId
    refusal: Refusal | None
    why: str


@dataclass(frozen=True, slots=True)
class ServeFetch(Request[None]):
    """The learner fetches a version on this stream; answered when it is done."""

    stream: Stream
    request: FetchRequest


@dataclass(frozen=True, slots=True)
class TakePush(Request[None]):
    """The learner pushes weights on this stream; answered when it is done."""

    stream: Stream
    opening: PushOpening


@dataclass(frozen=True, slots=True)
class Heard:
    """The learner said something: the proxy's reader tells the proxy."""

    message: Evaluated | TaskFailure


@dataclass(frozen=True, slots=True)
class SayMasking:
    """Tell the learner something of its masks."""

    said: Masking


@dataclass(frozen=True, slots=True)
class Expelled:
    """The learner takes no part in the masked sum of its task's round: the task is given up."""

    task: TaskId
    why: str


@dataclass(frozen=True, slots=True)
class SessionOver:
    """The session has ended: the proxy's reader tells the proxy.

    Attributes:
        session: which one.
        left: the learner said goodbye.
        why: for people to read.
    """

    session: Session
    left: bool
    why: str


@dataclass(frozen=True, slots=True)
class GraceOver:
    """The learner did not come back in time: the proxy tells itself."""


ToLearnerProxy = (
    Attach
    | Displace
    | Dismiss
    | AssignTask
    | CancelTask
    | Verdict
    | ServeFetch
    | TakePush
    | Heard
    | SayMasking
    | Expelled
    | SessionOver
    | GraceOver
)

# ------------------------------------------------------------------------------------------------------------- to the Gateway


@dataclass(frozen=True, slots=True)
class Admission:
    """A learner may take part.

    Attributes:
        proxy: stands for it.
        token: proves it on later streams.
        resumed: an open session goes on.
    """

    proxy: ActorRef[ToLearnerProxy]
    token: bytes
    resumed: bool


@dataclass(frozen=True, slots=True)
class Admit(Request[Admission]):
    """A learner wants to take part. Rejected, with what to tell it, where it may not."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class FindProxy(Request[ActorRef[ToLearnerProxy]]):
    """The proxy of the learner with this token. Rejected where there is none, or its learner is none that the caller may be."""

    token: bytes
    caller: Caller


@dataclass(frozen=True, slots=True)
class DismissAll:
    """The federation is done: every learner goes, none is admitted any more."""


ToGateway = Admit | FindProxy | DismissAll
