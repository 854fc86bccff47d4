"""`file://DIR`: models on a disk. They survive the death of the process at any instant, and by option a loss of power.

    DIR/
    ├── index.sqlite           which slot holds which model, its layout, digest and facts; -wal beside it while the store is open
    └── slots/
        ├── 00000000.slot      one model each: the buffer as `fedactors.model` lays it out, from the first byte on
        └── ...                a slot that the index does not name is free, and will be written to

A model is written into a free slot; then one transaction of the index names the slot and forgets those of evicted models, which
are free from then on. Whatever is there before that transaction is there, whole, until it; whatever it names is whole.
`model_file.save(await store.get(version), path)` makes a safetensors file of a version.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import override

from fedactors.errors import ConfigError, StoreError
from fedactors.model import Buffer
from fedactors.storage.base import Home
from fedactors.storage.entries import Entry, digest
from fedactors.storage.index import Index
from fedactors.storage.shelf import Shelf
from fedactors.storage.shelved import ShelvedStorage
from fedactors.storage.slots import Slots, sync_directory

INDEX = "index.sqlite"


@dataclass(frozen=True, slots=True)
class FileStorage(ShelvedStorage):
    """Keeps models in a directory, which is made where there is none; one process at a time uses it. POSIX systems, local disks.

    Attributes:
        lineage_length: newest versions, and newest models of each learner, that are kept, >= 0. 0: all; the disk then takes one
            model with each commit. With a limit, files are used again, which is several times faster.
        max_bytes: of all models together, >= 0; what was put first makes room, but never the newest version. 0: no limit.
        place: the directory; a relative one starts where the configuration's file is.
        durability: what a model that was put survives: the death of this "process", or a loss of "power", too, which costs a wait
            for the disk with each model.
    """

    place: str = ""
    durability: Literal["process", "power"] = "process"

    def __post_init__(self) -> None:
        super(FileStorage, self).__post_init__()
        if not self.place:
            raise ConfigError("model store 'file' has no place; name a directory, as in url = \"file://models\"")

    @override
    def shelf(self, home: Home) -> tuple[Shelf, str]:
        directory = home.base_dir / Path(self.place).expanduser()
        return FileShelf(directory, sync=self.durability == "power"), str(directory)


class FileShelf(Shelf):
    """An open directory."""

    def __init__(self, directory: Path, *, sync: bool) -> None:
        """Open it; make it where there is none.

        Raises:
            StoreError: it cannot be made, or is in use, damaged or somebody else's.
        """
        self._directory = directory
        with self._explained("used"):
            _make(directory, sync=sync)
            self._index = Index(directory / INDEX, sync=sync)
        try:
            with self._explained("used"):
                self._open_slots(sync=sync)
        except BaseException:
            self._index.close()
            raise

    def _open_slots(self, *, sync: bool) -> None:
        files = self._directory / "slots"
        files.mkdir(exist_ok=True)
        if sync:
            sync_directory(self._directory)
        self._entries = self._index.entries()
        self._slot_of = {entry.serial: slot for entry, slot in self._entries}
        self._unchecked = set(self._slot_of)
        self._slots = Slots(files, set(self._slot_of.values()), sync=sync)

    @override
    def entries(self) -> list[Entry]:
        found, self._entries = self._entries, []
        return [entry for entry, _ in found]

    @override
    def write(self, entry: Entry, buffer: Buffer, going: Sequence[Entry]) -> None:
        with self._explained("written to"):
            slot = self._slots.write(buffer)
            self._index.commit(entry, slot, going)  # where it fails, the slot waits for the next opening
            self._slot_of[entry.serial] = slot
        for gone in going:
            self._slots.release(self._forget(gone), gone.nbytes)

    @override
    def read(self, entry: Entry) -> Buffer:
        slot = self._slot_of[entry.serial]
        with self._explained("read"):
            try:
                buffer = self._slots.read(slot, entry.nbytes)
            except (FileNotFoundError, StoreError) as error:
                raise self._damaged(entry, slot) from error
        if entry.serial in self._unchecked:
            if digest(buffer) != entry.digest:
                raise self._damaged(entry, slot)
            self._unchecked.discard(entry.serial)
        return buffer

    @override
    def note(self, entry: Entry) -> None:
        self._index.note(entry)

    @override
    def remove(self, entries: Sequence[Entry]) -> None:
        self._index.forget(entries)
        for entry in entries:
            self._slots.remove(self._forget(entry))

    @override
    def close(self) -> None:
        self._index.close()

    def _forget(self, entry: Entry) -> int:
        self._unchecked.discard(entry.serial)
        return self._slot_of.pop(entry.serial)

    def _damaged(self, entry: Entry, slot: int) -> StoreError:
        return StoreError(
            f"{entry.key} is damaged: {self._slots.path(slot)} is not what was put; "
            "restore the directory from a backup, or go on from another version"
        )

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self._directory} cannot be {done}: {error.strerror}; {_remedy(error)}") from error


def _make(directory: Path, *, sync: bool) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in directory.iterdir())
    if names and INDEX not in names:
        raise StoreError(f"{directory} is no model store: it holds {names[0]!r} but no {INDEX}; name an empty or a new directory")
    if sync:
        sync_directory(directory.parent)


def _remedy(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return "make room, or set lineage_length or max_bytes"
        case errno.EMFILE | errno.ENFILE:
            return "raise the limit of open files (ulimit -n)"
        case _:
            return "see that it is a directory that can be written to, or name another"
