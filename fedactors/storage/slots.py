"""Files of one model each, which are used again: writing into a file that is there is several times faster than making one.

A slot that is free is written before the index speaks of it, and a slot that the index speaks of is not written to. So a process
that dies at any instant leaves at worst a free slot with half a model.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Collection
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np

from fedactors.errors import StoreError
from fedactors.log import get_logger
from fedactors.model import Buffer

log = get_logger("fedactors.storage")

FREE_SLOTS_MAX = 2
"""Files that are kept for later models of the same size; further ones are removed."""
COPIED_BYTES_MAX = 1024**2
"""Smaller models are read into memory; a larger one is mapped, which holds a file descriptor for as long as it is looked at."""


class Slots:
    """The slot files of one directory, by number."""

    def __init__(self, directory: Path, taken: Collection[int], *, sync: bool) -> None:
        """Find what is there; files that nothing was kept in go.

        Args:
            directory: of the files; it exists.
            taken: slots that hold a model.
            sync: see that what is written survives a loss of power.

        Raises:
            OSError: the directory cannot be read.
        """
        self._directory = directory
        self._sync = sync
        self._maps: WeakValueDictionary[int, mmap.mmap] = WeakValueDictionary()
        self._free: dict[int, int] = {}
        there = {int(match[1]) for path in directory.iterdir() if (match := re.fullmatch(r"(\d{8,})\.slot", path.name))}
        self._next = max(there.union(taken), default=-1) + 1
        for slot in there.difference(taken):
            self.remove(slot)

    def path(self, slot: int) -> Path:
        """The file of a slot."""
        return self._directory / f"{slot:08}.slot"

    def write(self, buffer: Buffer) -> int:
        """Put a model into a free slot, which is in use from now on.

        Raises:
            OSError: it cannot be written; the slot is removed.
        """
        fitting = next((slot for slot, nbytes in self._free.items() if nbytes == buffer.nbytes), None)
        if fitting is None:
            slot, self._next = self._next, self._next + 1
        else:
            slot = fitting
            del self._free[slot]
        try:
            self._fill(self.path(slot), buffer.data, new=fitting is None)
        except BaseException:
            self.remove(slot)
            raise
        return slot

    def _fill(self, path: Path, data: memoryview, *, new: bool) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            offset = 0
            while offset < len(data):
                offset += os.pwrite(file, data[offset:], offset)
            if self._sync:
                os.fsync(file)
        finally:
            os.close(file)
        if self._sync and new:
            sync_directory(self._directory)

    def read(self, slot: int, nbytes: int) -> Buffer:
        """What a slot holds, read-only. It stays as it is, whatever becomes of the slot.

        Raises:
            OSError: there is no such file, or it cannot be read.
            StoreError: it is too short.
        """
        mapped = self._maps.get(slot)
        if mapped is not None:
            return np.frombuffer(mapped, np.uint8)
        file = os.open(self.path(slot), os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(file).st_size
            if size < nbytes:
                raise StoreError(f"{self.path(slot)} has {size:,} bytes where {nbytes:,} are expected")
            return _copy(file, nbytes) if nbytes <= COPIED_BYTES_MAX else self._map(file, slot, nbytes)
        finally:
            os.close(file)

    def _map(self, file: int, slot: int, nbytes: int) -> Buffer:
        mapped = mmap.mmap(file, nbytes, prot=mmap.PROT_READ)
        self._maps[slot] = mapped
        return np.frombuffer(mapped, np.uint8)

    def release(self, slot: int, nbytes: int) -> None:
        """A model of so many bytes has gone: its file may be written to again, unless somebody still looks at it."""
        if slot in self._maps or len(self._free) == FREE_SLOTS_MAX:
            self.remove(slot)  # who looks at it keeps the bytes; only the name goes
        else:
            self._free[slot] = nbytes

    def remove(self, slot: int) -> None:
        """A slot's bytes go, too. What cannot be removed goes when the directory is opened again."""
        self._maps.pop(slot, None)
        try:
            self.path(slot).unlink(missing_ok=True)
        except OSError as error:
            log.warning("slot_not_removed", path=str(self.path(slot)), error=str(error))


def _copy(file: int, nbytes: int) -> Buffer:
    buffer = np.empty(nbytes, np.uint8)
    offset = 0
    while offset < nbytes:
        read = os.preadv(file, [buffer.data[offset:]], offset)
        if read == 0:
            raise StoreError(f"a slot ends after {offset:,} of {nbytes:,} bytes")
        offset += read
    buffer.flags.writeable = False
    return buffer


def sync_directory(path: Path) -> None:
    """See that the names in a directory survive a loss of power.

    Raises:
        OSError: it cannot be done.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
