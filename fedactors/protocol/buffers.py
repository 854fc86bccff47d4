"""Buffers that are used again: touching fresh memory costs more than receiving into it."""

from __future__ import annotations

import numpy as np

from fedactors.model import Buffer

BUFFERS_MAX = 4


class BufferPool:
    """Keeps up to `buffers_max` buffers that were given back, the last ones given; a buffer is lent to one owner at a time."""

    def __init__(self, buffers_max: int = BUFFERS_MAX) -> None:
        self._buffers_max = buffers_max
        self._free: dict[int, Buffer] = {}  # by identity, the last one given at the end

    def take(self, nbytes: int) -> Buffer:
        """A writable buffer of exactly this size; what it holds is left over from before."""
        for identity, buffer in reversed(self._free.items()):
            if buffer.nbytes == nbytes:
                return self._free.pop(identity)
        return np.empty(nbytes, np.uint8)

    def give(self, buffer: Buffer) -> None:
        """Give a buffer back; nobody may use it, or a view of it, from now on. One that is read-only is not kept."""
        if not buffer.flags.writeable:
            return
        assert id(buffer) not in self._free, "a buffer was given back twice"
        self._free[id(buffer)] = buffer
        if len(self._free) > self._buffers_max:
            del self._free[next(iter(self._free))]

    def grow(self, buffers_max: int) -> None:
        """Keep at least so many buffers from now on."""
        self._buffers_max = max(self._buffers_max, buffers_max)

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers that are kept."""
        return sum(buffer.nbytes for buffer in self._free.values())
