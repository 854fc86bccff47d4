"""What is said: every message of the wire as a frozen value. `session_wire` and `blob_wire` write and read them.

    learner to controller       Hello · Heartbeat · Evaluated · TaskFailure · Masking · Goodbye
    controller to learner       Welcome · Heartbeat · Task · Cancel · Masking · Goodbye
    before and after weights    FetchRequest · BlobHeader or FetchRefusal ; PushOpening · PushGrant · PushAnswer

Which may be said when is in `states`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fedactors.dp.local import LocalPrivacy
from fedactors.form import AS_IT_IS, FormSpec
from fedactors.model import LearnerId, Version
from fedactors.privacy.sealing import UNSEALED, SealingSpec
from fedactors.task import EvaluateParams, EvaluationReport, Round, TaskId, TaskKind, TrainParams, TrainReport

WIRE_VERSION = 1
"""Of the schema in schemas/fedactors/v1; it changes only when an old peer could not follow."""

SESSION = "/fedactors.v1.Federation/Session"
FETCH = "/fedactors.v1.Federation/Fetch"
PUSH = "/fedactors.v1.Federation/Push"
GET_STATUS = "/fedactors.v1.Admin/GetStatus"
WATCH = "/fedactors.v1.Admin/Watch"
ORDER = "/fedactors.v1.Admin/Order"
SHIP = "/fedactors.v1.Admin/Ship"
DOWNLOAD = "/fedactors.v1.Admin/Download"
LIST_VERSIONS = "/fedactors.v1.Admin/ListVersions"
LIST_FEDERATIONS = "/fedactors.v1.Federations/List"
ADD_FEDERATION = "/fedactors.v1.Federations/Add"
STOP_FEDERATION = "/fedactors.v1.Federations/Stop"

Specs: TypeAlias = tuple[tuple[str, str, tuple[int, ...]], ...]
"""(name, dtype, shape) of each tensor of a layout, in order."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A learner's first message.

    Attributes:
        learner: its identity.
        federation: whose name it expects; empty: whichever is served there.
        resume_token: of the Welcome before a lost connection; empty: a new start.
        num_train_examples: of its dataset, >= 0.
        num_test_examples: of its dataset, >= 0.
        tags: labels for selection.
        tasks_held: tasks that it has and need not be sent again.
        software: name and version, for logs.
        wire_version: of the schema that it speaks.
        forms: names of the forms that it can pack its updates in.
    """

    learner: LearnerId
    federation: str = ""
    resume_token: bytes = b""
    num_train_examples: int = 0
    num_test_examples: int = 0
    tags: tuple[str, ...] = ()
    tasks_held: tuple[TaskId, ...] = ()
    software: str = ""
    wire_version: int = WIRE_VERSION
    forms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life; a `Session` sends and swallows it by itself."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The answer to an evaluation task."""

    task: TaskId
    report: EvaluationReport


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """A task that the learner cannot answer: its own code raised."""

    task: TaskId
    why: str


class GoodbyeReason(enum.StrEnum):
    """Why a side ends the session."""

    LEFT = "left"
    """A learner leaves of its own will."""
    FINISHED = "finished"
    """The federation is done."""
    DISPLACED = "displaced"
    """Another connection with the same identity took over."""
    REFUSED = "refused"
    """The learner may not take part; `why` says what to do."""
    DRAINING = "draining"
    """The controller goes down and will be back: reconnect."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """A side's last message. Without it the end of a session is a loss."""

    reason: GoodbyeReason
    why: str = ""


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to Hello.

    Attributes:
        token: proves this learner on Fetch and Push, and resumes the session after a loss.
        heartbeat_s: send something at least this often; seconds, > 0.
        lost_after_s: silence longer than this, of either side, is a loss; seconds, > heartbeat_s.
        chunk_bytes: of weights in one frame, > 0.
        resumed: the resume token was known: open tasks go on.
        federation: its name.
        eager_bytes: weights of at most so many bytes need no grant: they travel with their opening; at most chunk_bytes.
        local: globs of tensors that stay with the learner.
        shared: globs of the tensors that travel, unless they are local; empty: all.
        variates: control variates travel behind them.
        form: in which updates are wished for.
        sealing: how versions and updates are encrypted among the learners.
        local_privacy: how updates are clipped and given noise before they leave; None: they are not.
    """

    token: bytes
    heartbeat_s: float
    lost_after_s: float
    chunk_bytes: int
    resumed: bool = False
    federation: str = ""
    eager_bytes: int = 0
    local: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    variates: bool = False
    form: FormSpec = AS_IT_IS
    sealing: SealingSpec = UNSEALED
    local_privacy: LocalPrivacy | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """Something for a learner to do.

    Attributes:
        id: unique in the run.
        kind: what to do.
        params: how; of the class that belongs to the kind, None for INITIALISE.
    """

    id: TaskId
    kind: TaskKind
    params: TrainParams | EvaluateParams | None = None

    @property
    def version(self) -> Version:
        """The global model's version that it refers to; 0 for INITIALISE, which refers to none."""
        return 0 if self.params is None else self.params.version

    @property
    def round(self) -> Round:
        """Its round; 0 for INITIALISE."""
        return 0 if self.params is None else self.params.round


@dataclass(frozen=True, slots=True)
class Cancel:
    """The answer to this task is no longer wanted."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Masking:
    """One step of the dialogue by which updates are masked; `fedactors.privacy.masking.messages` says what stands in it.

    Attributes:
        task: the learner's training task, to whose update the masks belong.
        stage: of the dialogue.
        body: plain maps, lists, strings, bytes and numbers.
    """

    task: TaskId
    stage: str
    body: Mapping[str, Any]


FromLearner: TypeAlias = Hello | Heartbeat | Evaluated | TaskFailure | Masking | Goodbye
FromController: TypeAlias = Welcome | Heartbeat | Task | Cancel | Masking | Goodbye
Message: TypeAlias = FromLearner | FromController


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """A learner asks for a version of the global model.

    Attributes:
        token: of its Welcome.
        version: which.
        layout_digest: of a layout that it knows; empty if it knows none.
        offset: the first byte wanted, a multiple of the chunk size.
    """

    token: bytes
    version: Version
    layout_digest: bytes = b""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class BlobHeader:
    """What stands before a buffer's chunks.

    Attributes:
        layout_digest: 16 bytes.
        specs: the layout; None where the reader knows it.
        total_bytes: of the buffer.
        version: of the global model; 0 in a push.
    """

    layout_digest: bytes
    specs: Specs | None
    total_bytes: int
    version: Version = 0


@dataclass(frozen=True, slots=True)
class FetchRefusal:
    """There is no such version; to ask again is of no use."""

    why: str


@dataclass(frozen=True, slots=True)
class PushOpening:
    """What stands before the weights that a learner delivers.

    Attributes:
        token: of its Welcome; empty from a driver.
        task: which they answer; empty from a driver.
        layout_digest: 16 bytes.
        specs: their layout; None where it is the global model's.
        total_bytes: of the buffer.
        report: what the learner says of its training.
        chunk: the whole buffer as a chunk's frame, where it travels with the opening; empty where it waits for the grant.
        upload: names these very weights: an attempt with the same name may go on where another one was cut; empty: none may.
    """

    token: bytes
    task: TaskId
    layout_digest: bytes
    specs: Specs | None
    total_bytes: int
    report: TrainReport
    chunk: bytes | memoryview = b""
    upload: bytes = b""


@dataclass(frozen=True, slots=True)
class PushGrant:
    """There is room: send the chunks now.

    Attributes:
        offset: of the first byte to send; 0 unless an earlier attempt of the same upload was cut.
    """

    offset: int = 0


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """The end of a push.

    Attributes:
        accepted: the weights count.
        refusal: a `fedactors.task.Refusal`; empty if they count.
        why: in words.
    """

    accepted: bool
    refusal: str = ""
    why: str = ""
