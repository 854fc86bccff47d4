"""A journal in a file: records one behind the other, each whole or not there.

    magic   then for each record:  length (4 bytes)  xxh3-64 of the record (8 bytes)  the record

Bytes are handed to the operating system with each record, so that they outlive the process; by option they are on the disk before
a commit, or an update that counts, is told of. What a process that died left unfinished at the end is cut off when the journal is
opened again; anything else that does not read is damage, and named.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import xxhash
from typing_extensions import override

from fedactors.errors import StoreError
from fedactors.journal.journal import Journal
from fedactors.journal.records import Committing, Counted, Happened, Opened, Record, decode, encode
from fedactors.journal.story import Story, told
from fedactors.record import Event, EventKind

MAGIC = b"fedactors journal 1\n"
RECORD_BYTES_MAX = 64 * 1024**2
_HEAD = struct.Struct("<IQ")

Durability: TypeAlias = Literal["process", "power"]
"""What a record survives: the death of the process, or a loss of power, too."""

_NEWS_TO_SYNC = {EventKind.INITIALISED, EventKind.ROUND_COMMITTED, EventKind.FINISHED}


@dataclass(frozen=True, slots=True)
class Found:
    """What a journal's file holds.

    Attributes:
        records: whole ones, in order.
        whole_bytes: the file as far as it is whole.
    """

    records: list[Record]
    whole_bytes: int


class FileJournal(Journal):
    """An open journal; no other process can open it meanwhile.

    Attributes:
        path: of the file.
        events: the news that it held when it was opened.
    """

    keeps = True

    def __init__(
        self,
        path: Path,
        opened: Opened,
        *,
        durability: Durability = "process",
        keeps_updates: bool = True,
        resume: bool = False,
    ) -> None:
        """Begin a journal, or go on with one.

        Args:
            path: of the file.
            opened: what this process keeps it for.
            durability: what each record survives.
            keeps_updates: see `Journal`.
            resume: there is a journal, of the same plan; False: there is none.

        Raises:
            StoreError: there is one already, or none to go on with; it is in use, damaged, or of another federation.
        """
        super().__init__()
        self.path = path
        self.events: list[Event] = []
        self.keeps_updates = keeps_updates
        self._power = durability == "power"
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | (0 if resume else os.O_CREAT | os.O_EXCL), 0o600)
        except FileExistsError:
            raise StoreError(
                f"there is a journal at {path} already; go on with it by --resume, or choose another directory"
            ) from None
        except FileNotFoundError:
            raise StoreError(f"there is no journal at {path} to go on with; was its run started without one?") from None
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            self._begin(opened, resume=resume)
        except BaseException:
            self.close()
            raise

    def _begin(self, opened: Opened, *, resume: bool) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(f"the journal {self.path} is in use by another process; end that one first") from None
        if resume:
            found = read(self.path)
            _check_same(self.path, found.records, opened)
            os.ftruncate(self._fd, found.whole_bytes)
            self.story = _story(self.path, found.records)
            self.events = [record.event for record in found.records if isinstance(record, Happened)]
        else:
            self._append(MAGIC)
        self.write(opened)

    @override
    def _keep(self, record: Record) -> None:
        packed = encode(record)
        if len(packed) > RECORD_BYTES_MAX:
            raise StoreError(
                f"a record {type(record).__name__} has {len(packed):,} bytes; at most {RECORD_BYTES_MAX:,} are written"
            )
        self._append(_HEAD.pack(len(packed), xxhash.xxh3_64_intdigest(packed)) + packed)
        if self._power and _must_last(record):
            os.fsync(self._fd)

    def _append(self, data: bytes) -> None:
        try:
            written = os.write(self._fd, data)
            if written < len(data):  # the disk is full: leave no half of a record behind
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
                raise OSError(28, os.strerror(28))
        except OSError as error:
            raise _unusable(self.path, error) from error

    def close(self) -> None:
        """Let go of the file; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read(path: Path) -> Found:
    """What the file holds; a record that was not finished is not in it.

    Raises:
        StoreError: it cannot be read, is no journal, or is damaged; the message names the record.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unusable(path, error) from error
    if not data.startswith(MAGIC):
        raise StoreError(f"{path} is no journal of fedactors, or of another version")
    records, end = [], len(MAGIC)
    for number, (packed, after) in enumerate(_pieces(path, data)):
        try:
            records.append(decode(packed))
        except StoreError as error:
            raise StoreError(f"the journal {path} is damaged at record {number} (byte {end:,}): {error}") from error
        end = after
    return Found(records, end)


def _pieces(path: Path, data: bytes) -> Iterator[tuple[bytes, int]]:
    """(record, the byte behind it) for each whole one."""
    at, number = len(MAGIC), 0
    while len(data) - at >= _HEAD.size:
        length, digest = _HEAD.unpack_from(data, at)
        start = at + _HEAD.size
        if length > RECORD_BYTES_MAX:
            raise StoreError(f"the journal {path} is damaged at record {number} (byte {at:,}): its length is {length:,}")
        if start + length > len(data):
            return
        packed = data[start : start + length]
        if xxhash.xxh3_64_intdigest(packed) != digest:
            raise StoreError(f"the journal {path} is damaged at record {number} (byte {at:,}): its checksum is wrong")
        at, number = start + length, number + 1
        yield packed, at


def _check_same(path: Path, records: list[Record], opened: Opened) -> None:
    first = next((record for record in records if isinstance(record, Opened)), None)
    if first is None:
        raise StoreError(f"the journal {path} does not say whose it is; its run had not begun: start it anew, without --resume")
    kept = {"name": first.federation, "seed": first.seed, **first.plan}
    for key, now in {"name": opened.federation, "seed": opened.seed, **opened.plan}.items():
        if kept.get(key) != now:
            raise StoreError(f"the journal {path} was begun with {key} = {kept.get(key)!r}; it cannot go on with {now!r}")


def _story(path: Path, records: list[Record]) -> Story:
    try:
        return told(records)
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"the journal {path} is damaged: an event in it does not say what events of its kind say ({error!r})"
        ) from error


def _must_last(record: Record) -> bool:
    match record:
        case Happened(event):
            return event.kind in _NEWS_TO_SYNC
        case Counted() | Committing() | Opened():
            return True
        case _:
            return False


def _unusable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"the journal {path} cannot be used: {error.strerror or error}; make room, or choose another directory")
