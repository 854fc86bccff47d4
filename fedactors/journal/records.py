"""What is written into a journal, and how: each record is its kind and a map of its fields, in msgpack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

import msgpack
import numpy as np

from fedactors.errors import StoreError
from fedactors.model import LearnerId, Version
from fedactors.record import Event, EventKind
from fedactors.task import Round, TaskId, TaskKind, TrainReport


@dataclass(frozen=True, slots=True)
class Opened:
    """A process begins, or goes on, to keep this journal.

    Attributes:
        federation: its name.
        seed: the run's.
        plan: what a resumed run must have in common with the run before, by its key in the configuration.
    """

    federation: str
    seed: int
    plan: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Happened:
    """News, as everybody is told."""

    event: Event


@dataclass(frozen=True, slots=True)
class Known:
    """A learner was given a token, by which it is known again.

    Attributes:
        digest: of the token; the token itself is nowhere but with the learner.
    """

    learner: LearnerId
    digest: bytes


@dataclass(frozen=True, slots=True)
class Given:
    """A task was given to a learner."""

    task: TaskId
    learner: LearnerId
    kind: TaskKind
    round: Round
    version: Version


@dataclass(frozen=True, slots=True)
class Counted:
    """An update counts in its round, and its weights are in the model store.

    Attributes:
        task: that it answers.
        learner: who.
        round: in which it counts.
        sequence: of the learner's model in the store.
        staleness: in versions.
        report: what the learner said of its training.
    """

    task: TaskId
    learner: LearnerId
    round: Round
    sequence: int
    staleness: int
    report: TrainReport


@dataclass(frozen=True, slots=True)
class Committing:
    """A round's updates are combined; as soon as this version is in the model store, the round is committed."""

    round: Round
    version: Version


Record: TypeAlias = Opened | Happened | Known | Given | Counted | Committing

_KINDS: Mapping[str, type[Any]] = {kind.__name__: kind for kind in (Opened, Happened, Known, Given, Counted, Committing)}


def encode(record: Record) -> bytes:
    """A record as bytes.

    Raises:
        StoreError: a value in it cannot be written.
    """
    body = {field.name: getattr(record, field.name) for field in fields(record)}
    try:
        packed: bytes = msgpack.packb([type(record).__name__, body], default=_plain)
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"a record {type(record).__name__} cannot be written: {error}") from error
    return packed


def decode(packed: bytes) -> Record:
    """The inverse of `encode`.

    Raises:
        StoreError: it is no record that this version knows.
    """
    try:
        kind, body = msgpack.unpackb(packed, strict_map_key=False)
        record: Record = _KINDS[kind](**{name: _READERS[name](value) for name, value in body.items()})
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StoreError(f"it is no record that this version of fedactors knows ({type(error).__name__}: {error})") from error
    return record


def _plain(value: Any) -> Any:
    """What msgpack does not know: the parts of records, and numpy's numbers in metrics."""
    if isinstance(value, (Event, TrainReport)):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r:.80} is neither a number, a string, a list nor a map")


def _is(kind: type[Any]) -> Callable[[Any], Any]:
    """A reader of values that are what they were."""

    def reader(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError(f"{value!r:.40} is no {kind.__name__}")
        return value

    return reader


def _event(body: Mapping[str, Any]) -> Event:
    number, unix_time_s = _is(int)(body["number"]), _is(float)(body["unix_time_s"])
    return Event(number, unix_time_s, EventKind(body["kind"]), _is(dict)(body["body"]))


def _report(body: Mapping[str, Any]) -> TrainReport:
    report = TrainReport(**body)
    if (problem := report.problem()) is not None:
        raise ValueError(problem)
    return report


_READERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("federation", "learner", "task"), _is(str)),
    **dict.fromkeys(("seed", "round", "version", "sequence", "staleness"), _is(int)),
    "plan": _is(dict),
    "digest": _is(bytes),
    "event": _event,
    "kind": TaskKind,
    "report": _report,
}
"""By the name of a record's field: what is called alike is of one kind."""
