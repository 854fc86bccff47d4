"""Buffers that are used again: touching fresh memory costs more than receiving into it."""

from __future__ import annotations

import numpy as np

from fedactors.model import Buffer

BUFFERS_MAX = 4


class BufferPool:
    """Keeps up to `buffers_max` buffers that were given back, the last ones given; a buffer is lent to one owner at a time."""

    def __init__(self, buffers_max: int = BUFFERS_MAX) -> None:
        self._buffers_max = buffers_max
        self._free: list[Buffer] = []

    def take(self, nbytes: int) -> Buffer:
        """A writable buffer of exactly this size; what it holds is left over from before."""
        for place in range(len(self._free) - 1, -1, -1):
            if self._free[place].nbytes == nbytes:
                return self._free.pop(place)
        return np.empty(nbytes, np.uint8)

    def give(self, buffer: Buffer) -> None:
        """Give a buffer back; nobody may use it, or a view of it, from now on. One that is read-only is not kept."""
        if not buffer.flags.writeable:
            return
        assert all(buffer is not kept for kept in self._free), "a buffer was given back twice"
        self._free.append(buffer)
        del self._free[: -self._buffers_max]

    def grow(self, buffers_max: int) -> None:
        """Keep at least so many buffers from now on."""
        self._buffers_max = max(self._buffers_max, buffers_max)

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers that are kept."""
        return sum(buffer.nbytes for buffer in self._free)
