from fedactors.protocol._pb import federation_pb2 as _federation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Status(_message.Message):
    __slots__ = ("body",)
    BODY_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    def __init__(self, body: _Optional[bytes] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("from_number",)
    FROM_NUMBER_FIELD_NUMBER: _ClassVar[int]
    from_number: int
    def __init__(self, from_number: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("number", "unix_time_s", "kind", "body")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    UNIX_TIME_S_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    number: int
    unix_time_s: float
    kind: str
    body: bytes
    def __init__(self, number: _Optional[int] = ..., unix_time_s: _Optional[float] = ..., kind: _Optional[str] = ..., body: _Optional[bytes] = ...) -> None: ...

class News(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class OrderRequest(_message.Message):
    __slots__ = ("verb", "why")
    class Verb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERB_UNSPECIFIED: _ClassVar[OrderRequest.Verb]
        START: _ClassVar[OrderRequest.Verb]
        STOP: _ClassVar[OrderRequest.Verb]
        ABORT: _ClassVar[OrderRequest.Verb]
        PAUSE: _ClassVar[OrderRequest.Verb]
        RESUME: _ClassVar[OrderRequest.Verb]
        CLOSE: _ClassVar[OrderRequest.Verb]
    VERB_UNSPECIFIED: OrderRequest.Verb
    START: OrderRequest.Verb
    STOP: OrderRequest.Verb
    ABORT: OrderRequest.Verb
    PAUSE: OrderRequest.Verb
    RESUME: OrderRequest.Verb
    CLOSE: OrderRequest.Verb
    VERB_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    verb: OrderRequest.Verb
    why: str
    def __init__(self, verb: _Optional[_Union[OrderRequest.Verb, str]] = ..., why: _Optional[str] = ...) -> None: ...

class OrderAnswer(_message.Message):
    __slots__ = ("done", "why")
    DONE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    done: bool
    why: str
    def __init__(self, done: _Optional[bool] = ..., why: _Optional[str] = ...) -> None: ...

class DownloadRequest(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    def __init__(self, version: _Optional[int] = ...) -> None: ...

class ListVersionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KeptVersion(_message.Message):
    __slots__ = ("version", "created_unix_s", "nbytes", "digest", "body")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_S_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    version: int
    created_unix_s: float
    nbytes: int
    digest: str
    body: bytes
    def __init__(self, version: _Optional[int] = ..., created_unix_s: _Optional[float] = ..., nbytes: _Optional[int] = ..., digest: _Optional[str] = ..., body: _Optional[bytes] = ...) -> None: ...

class Versions(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[KeptVersion]
    def __init__(self, versions: _Optional[_Iterable[_Union[KeptVersion, _Mapping]]] = ...) -> None: ...
