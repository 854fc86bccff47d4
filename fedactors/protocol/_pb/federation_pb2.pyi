from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LearnerMessage(_message.Message):
    __slots__ = ("hello", "heartbeat", "evaluated", "task_failure", "goodbye", "masking")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    EVALUATED_FIELD_NUMBER: _ClassVar[int]
    TASK_FAILURE_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    MASKING_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    heartbeat: Heartbeat
    evaluated: Evaluated
    task_failure: TaskFailure
    goodbye: Goodbye
    masking: Masking
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., evaluated: _Optional[_Union[Evaluated, _Mapping]] = ..., task_failure: _Optional[_Union[TaskFailure, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., masking: _Optional[_Union[Masking, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("wire_version", "federation", "learner", "resume_token", "num_train_examples", "num_test_examples", "tags", "tasks_held", "software", "forms")
    WIRE_VERSION_FIELD_NUMBER: _ClassVar[int]
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    LEARNER_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NUM_TRAIN_EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    NUM_TEST_EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    TASKS_HELD_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    FORMS_FIELD_NUMBER: _ClassVar[int]
    wire_version: int
    federation: str
    learner: str
    resume_token: bytes
    num_train_examples: int
    num_test_examples: int
    tags: _containers.RepeatedScalarFieldContainer[str]
    tasks_held: _containers.RepeatedScalarFieldContainer[str]
    software: str
    forms: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, wire_version: _Optional[int] = ..., federation: _Optional[str] = ..., learner: _Optional[str] = ..., resume_token: _Optional[bytes] = ..., num_train_examples: _Optional[int] = ..., num_test_examples: _Optional[int] = ..., tags: _Optional[_Iterable[str]] = ..., tasks_held: _Optional[_Iterable[str]] = ..., software: _Optional[str] = ..., forms: _Optional[_Iterable[str]] = ...) -> None: ...

class Evaluated(_message.Message):
    __slots__ = ("task", "body")
    TASK_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    task: str
    body: bytes
    def __init__(self, task: _Optional[str] = ..., body: _Optional[bytes] = ...) -> None: ...

class TaskFailure(_message.Message):
    __slots__ = ("task", "why")
    TASK_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    task: str
    why: str
    def __init__(self, task: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class ControllerMessage(_message.Message):
    __slots__ = ("welcome", "heartbeat", "task", "cancel", "goodbye", "masking")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    MASKING_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    heartbeat: Heartbeat
    task: Task
    cancel: Cancel
    goodbye: Goodbye
    masking: Masking
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., task: _Optional[_Union[Task, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., masking: _Optional[_Union[Masking, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("token", "heartbeat_s", "lost_after_s", "chunk_bytes", "resumed", "federation", "eager_bytes", "local", "shared", "variates", "form", "sealing", "local_privacy")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_S_FIELD_NUMBER: _ClassVar[int]
    LOST_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    CHUNK_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    EAGER_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    VARIATES_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    SEALING_FIELD_NUMBER: _ClassVar[int]
    LOCAL_PRIVACY_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    heartbeat_s: float
    lost_after_s: float
    chunk_bytes: int
    resumed: bool
    federation: str
    eager_bytes: int
    local: _containers.RepeatedScalarFieldContainer[str]
    shared: _containers.RepeatedScalarFieldContainer[str]
    variates: bool
    form: Form
    sealing: Sealing
    local_privacy: LocalPrivacy
    def __init__(self, token: _Optional[bytes] = ..., heartbeat_s: _Optional[float] = ..., lost_after_s: _Optional[float] = ..., chunk_bytes: _Optional[int] = ..., resumed: _Optional[bool] = ..., federation: _Optional[str] = ..., eager_bytes: _Optional[int] = ..., local: _Optional[_Iterable[str]] = ..., shared: _Optional[_Iterable[str]] = ..., variates: _Optional[bool] = ..., form: _Optional[_Union[Form, _Mapping]] = ..., sealing: _Optional[_Union[Sealing, _Mapping]] = ..., local_privacy: _Optional[_Union[LocalPrivacy, _Mapping]] = ...) -> None: ...

class Sealing(_message.Message):
    __slots__ = ("method", "options", "weighting")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTING_FIELD_NUMBER: _ClassVar[int]
    method: str
    options: bytes
    weighting: str
    def __init__(self, method: _Optional[str] = ..., options: _Optional[bytes] = ..., weighting: _Optional[str] = ...) -> None: ...

class Form(_message.Message):
    __slots__ = ("name", "options")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    options: bytes
    def __init__(self, name: _Optional[str] = ..., options: _Optional[bytes] = ...) -> None: ...

class LocalPrivacy(_message.Message):
    __slots__ = ("clip_norm", "noise_multiplier", "delta")
    CLIP_NORM_FIELD_NUMBER: _ClassVar[int]
    NOISE_MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    clip_norm: float
    noise_multiplier: float
    delta: float
    def __init__(self, clip_norm: _Optional[float] = ..., noise_multiplier: _Optional[float] = ..., delta: _Optional[float] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "kind", "round", "version", "body")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    round: int
    version: int
    body: bytes
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., round: _Optional[int] = ..., version: _Optional[int] = ..., body: _Optional[bytes] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: str
    def __init__(self, task: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Masking(_message.Message):
    __slots__ = ("task", "stage", "body")
    TASK_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    task: str
    stage: str
    body: bytes
    def __init__(self, task: _Optional[str] = ..., stage: _Optional[str] = ..., body: _Optional[bytes] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason", "why")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[Goodbye.Reason]
        LEFT: _ClassVar[Goodbye.Reason]
        FINISHED: _ClassVar[Goodbye.Reason]
        DISPLACED: _ClassVar[Goodbye.Reason]
        REFUSED: _ClassVar[Goodbye.Reason]
        DRAINING: _ClassVar[Goodbye.Reason]
    REASON_UNSPECIFIED: Goodbye.Reason
    LEFT: Goodbye.Reason
    FINISHED: Goodbye.Reason
    DISPLACED: Goodbye.Reason
    REFUSED: Goodbye.Reason
    DRAINING: Goodbye.Reason
    REASON_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    reason: Goodbye.Reason
    why: str
    def __init__(self, reason: _Optional[_Union[Goodbye.Reason, str]] = ..., why: _Optional[str] = ...) -> None: ...

class TensorSpec(_message.Message):
    __slots__ = ("name", "dtype", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("token", "version", "layout_digest", "offset")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    version: int
    layout_digest: bytes
    offset: int
    def __init__(self, token: _Optional[bytes] = ..., version: _Optional[int] = ..., layout_digest: _Optional[bytes] = ..., offset: _Optional[int] = ...) -> None: ...

class BlobHeader(_message.Message):
    __slots__ = ("layout_digest", "tensors", "total_bytes", "version")
    LAYOUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    layout_digest: bytes
    tensors: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    total_bytes: int
    version: int
    def __init__(self, layout_digest: _Optional[bytes] = ..., tensors: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., total_bytes: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("offset", "xxh3", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    XXH3_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    xxh3: int
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., xxh3: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class BlobFrame(_message.Message):
    __slots__ = ("header", "refusal", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: BlobHeader
    refusal: FetchRefusal
    chunk: Chunk
    def __init__(self, header: _Optional[_Union[BlobHeader, _Mapping]] = ..., refusal: _Optional[_Union[FetchRefusal, _Mapping]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ...) -> None: ...

class FetchRefusal(_message.Message):
    __slots__ = ("why",)
    WHY_FIELD_NUMBER: _ClassVar[int]
    why: str
    def __init__(self, why: _Optional[str] = ...) -> None: ...

class PushOpening(_message.Message):
    __slots__ = ("token", "task", "blob", "report", "upload")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    task: str
    blob: BlobHeader
    report: bytes
    upload: bytes
    def __init__(self, token: _Optional[bytes] = ..., task: _Optional[str] = ..., blob: _Optional[_Union[BlobHeader, _Mapping]] = ..., report: _Optional[bytes] = ..., upload: _Optional[bytes] = ...) -> None: ...

class PushFrame(_message.Message):
    __slots__ = ("opening", "chunk")
    OPENING_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    opening: PushOpening
    chunk: Chunk
    def __init__(self, opening: _Optional[_Union[PushOpening, _Mapping]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ...) -> None: ...

class PushReply(_message.Message):
    __slots__ = ("grant", "answer")
    GRANT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    grant: PushGrant
    answer: PushAnswer
    def __init__(self, grant: _Optional[_Union[PushGrant, _Mapping]] = ..., answer: _Optional[_Union[PushAnswer, _Mapping]] = ...) -> None: ...

class PushGrant(_message.Message):
    __slots__ = ("offset",)
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    offset: int
    def __init__(self, offset: _Optional[int] = ...) -> None: ...

class PushAnswer(_message.Message):
    __slots__ = ("accepted", "refusal", "why")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    refusal: str
    why: str
    def __init__(self, accepted: _Optional[bool] = ..., refusal: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...
