from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Standing(_message.Message):
    __slots__ = ("name", "state", "addresses", "rounds", "rounds_total", "learners", "why", "run")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    LEARNERS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    rounds: int
    rounds_total: int
    learners: int
    why: str
    run: str
    def __init__(self, name: _Optional[str] = ..., state: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ..., rounds: _Optional[int] = ..., rounds_total: _Optional[int] = ..., learners: _Optional[int] = ..., why: _Optional[str] = ..., run: _Optional[str] = ...) -> None: ...

class Standings(_message.Message):
    __slots__ = ("federations",)
    FEDERATIONS_FIELD_NUMBER: _ClassVar[int]
    federations: _containers.RepeatedCompositeFieldContainer[Standing]
    def __init__(self, federations: _Optional[_Iterable[_Union[Standing, _Mapping]]] = ...) -> None: ...

class AddRequest(_message.Message):
    __slots__ = ("name", "toml")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOML_FIELD_NUMBER: _ClassVar[int]
    name: str
    toml: str
    def __init__(self, name: _Optional[str] = ..., toml: _Optional[str] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("name", "now", "why")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    name: str
    now: bool
    why: str
    def __init__(self, name: _Optional[str] = ..., now: _Optional[bool] = ..., why: _Optional[str] = ...) -> None: ...

class FederationsAnswer(_message.Message):
    __slots__ = ("done", "why")
    DONE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    done: bool
    why: str
    def __init__(self, done: _Optional[bool] = ..., why: _Optional[str] = ...) -> None: ...
