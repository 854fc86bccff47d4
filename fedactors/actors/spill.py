"""Updates that wait outside of memory: a file each, under no name, so that nothing is left behind however the process ends."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from pathlib import Path
from typing import TypeAlias

import numpy as np
from typing_extensions import override

from fedactors.aggregation.sharded import Source
from fedactors.model import ALIGNMENT_BYTES, Buffer

WINDOW_BYTES_MAX = 8 * 1024**2
"""Of an update on its way here that are in memory at a time, where its shards are larger."""


class Spill(Source):
    """A buffer on a disk: uint8[nbytes].

    Attributes:
        nbytes: of all of it.
        window_bytes: of it that an upload holds in memory; a multiple of ALIGNMENT_BYTES.
        is_settled: every write that was begun is over, as far as is known: one whose caller was cancelled may not be.
    """

    def __init__(self, directory: Path, nbytes: int, window_bytes: int) -> None:
        """Make the file.

        Raises:
            OSError: the directory cannot be written to.
        """
        self.nbytes = nbytes
        self.window_bytes = window_bytes
        self.is_settled = True
        file = tempfile.TemporaryFile(buffering=0, dir=directory)  # noqa: SIM115  # closed with the last who holds the spill
        self._file = file.fileno()
        weakref.finalize(self, file.close)

    def write(self, start: int, data: Buffer) -> None:
        """Put these bytes at byte `start`. Blocks; OSError where there is no room."""
        view, written = data.data, 0
        while written < len(view):
            written += os.pwrite(self._file, view[written:], start + written)

    @override
    def read(self, start: int, out: Buffer) -> None:
        view, done = out.data, 0
        while done < len(view):
            count = os.preadv(self._file, [view[done:]], start + done)
            if not count:
                raise OSError(f"a spilled update ends at byte {start + done:,} of {self.nbytes:,}")
            done += count

    def mapped(self) -> Buffer:
        """All of it, read-only; what is looked at is in memory for as long as it is held, and can be taken out by the system."""
        return np.frombuffer(mmap.mmap(self._file, self.nbytes, prot=mmap.PROT_READ), np.uint8)

    def fill(self, buffer: Buffer) -> None:
        """Copy all of it from a buffer. Blocks; OSError where there is no room."""
        for start in range(0, self.nbytes, self.window_bytes):
            self.write(start, buffer[start : start + self.window_bytes])


Held: TypeAlias = Buffer | Spill
"""What an update is received into, and waits in."""


def as_buffer(held: Held) -> Buffer:
    """An update as one array, wherever it is."""
    return held.mapped() if isinstance(held, Spill) else held


class Spills:
    """Makes spills, and keeps those that were given back: writing into a file that is there is several times faster."""

    def __init__(self, directory: Path, shards: int, spills_max: int) -> None:
        """In a directory; of models in so many shards; up to so many are kept, until `grow`."""
        self._directory = directory
        self._shards = shards
        self._spills_max = spills_max
        self._free: list[Spill] = []

    def window_bytes(self, nbytes: int) -> int:
        """Of a model of so many bytes that its upload holds in memory: a shard, but no more than WINDOW_BYTES_MAX."""
        shard = -(-nbytes // (self._shards * ALIGNMENT_BYTES)) * ALIGNMENT_BYTES
        return min(shard, WINDOW_BYTES_MAX)

    def take(self, nbytes: int) -> Spill:
        """One of this size; what it holds is left over from before.

        Raises:
            OSError: it cannot be made.
        """
        fitting = next((spill for spill in self._free if spill.nbytes == nbytes), None)
        if fitting is None:
            return Spill(self._directory, nbytes, self.window_bytes(nbytes))
        self._free.remove(fitting)
        return fitting

    def give(self, spill: Spill) -> None:
        """Nobody reads it, or writes to it, any more. One that somebody may still be writing to is not used again."""
        if spill.is_settled and len(self._free) < self._spills_max:
            self._free.append(spill)

    def grow(self, spills_max: int) -> None:
        """Keep at least so many from now on."""
        self._spills_max = max(self._spills_max, spills_max)
