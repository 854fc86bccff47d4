"""A journal's records, its file, and the story that they tell."""

from __future__ import annotations

import struct
import tempfile
from contextlib import suppress
from pathlib import Path

import msgpack
import xxhash

from fedactors.errors import StoreError
from fedactors.journal import Committing, Counted, FileJournal, Given, Happened, Known, Opened
from fedactors.journal.file import MAGIC, read
from fedactors.journal.records import Record, decode, encode
from fedactors.record import Event, EventKind
from fedactors.task import TaskKind, TrainReport

OPENED = Opened("clinics", 7, {"aggregation.rule": "fedavg"})
RECORDS: tuple[Record, ...] = (
    OPENED,
    Happened(Event(0, 1.5, EventKind.LEARNER_JOINED, {"learner": "a", "tags": ["x"]})),
    Happened(Event(1, 2.0, EventKind.ROUND_BEGAN, {"round": 1, "version": 0, "cohort": ["a"], "learners": 1})),
    Known("a", b"\x00\x01"),
    Given("t1", "a", TaskKind.TRAIN, 1, 0),
    Counted("t1", "a", 1, 4, 0, TrainReport(12, 3, 0.5, 1.0, 2.0, {"loss": 0.25})),
    Committing(1, 1),
    Happened(Event(2, 2.5, EventKind.ROUND_COMMITTED, {"round": 1, "version": 1, "updates": 1})),
    Happened(Event(3, 3.5, EventKind.ROUND_ENDED, {"record": {"round": 1}})),
)
_DIRECTORY = tempfile.TemporaryDirectory(prefix="fedactors-fuzz-")
PLACE = Path(_DIRECTORY.name) / "journal"
_HEAD = struct.Struct("<IQ")


def framed(packed: bytes) -> bytes:
    return _HEAD.pack(len(packed), xxhash.xxh3_64_intdigest(packed)) + packed


SEEDS = [
    *(b"\x00" + encode(record) for record in RECORDS),
    b"\x01" + MAGIC + b"".join(framed(encode(record)) for record in RECORDS),
    b"\x01" + MAGIC + framed(encode(OPENED)) + b"\xff" * 20,
    b"\x02" + msgpack.packb([encode(record) for record in RECORDS]),
    b"\x02" + msgpack.packb([encode(Happened(Event(1, 2.0, EventKind.ROUND_BEGAN, {"round": 1})))]),
    b"\x00" + msgpack.packb(["Given", {"task": 5, "learner": [], "kind": "train", "round": "x", "version": None}]),
    b"\x00" + msgpack.packb(["Opened", {"federation": "x", "seed": 1, "plan": 3}]),
]


def check(data: bytes) -> None:
    """The first byte says whether the rest is a record, a file, or records that make a file, their checksums right."""
    if not data:
        return
    match data[0] % 3:
        case 0:
            _record(data[1:])
        case 1:
            _file(data[1:])
        case _:
            _file(MAGIC + framed(encode(OPENED)) + b"".join(map(framed, _parts(data[1:]))))


def _record(packed: bytes) -> None:
    with suppress(StoreError):
        record = decode(packed)
        assert repr(decode(encode(record))) == repr(record)


def _file(data: bytes) -> None:
    PLACE.write_bytes(data)
    with suppress(StoreError):
        assert read(PLACE).whole_bytes <= len(data)
    with suppress(StoreError):
        FileJournal(PLACE, OPENED, resume=True).close()


def _parts(data: bytes) -> list[bytes]:
    with suppress(ValueError):
        parts = msgpack.unpackb(data)
        return [part for part in parts if isinstance(part, bytes)] if isinstance(parts, list) else []
    return []
