"""Buffers that are used again: touching fresh memory costs more than receiving into it."""

from __future__ import annotations

import sys

import numpy as np
from typing_extensions import override

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


class ReusedMemory(BufferPool):
    """Lends one buffer after the other, each in the memory of the last one if nobody looks at that any more.

    For who hands out what it makes or receives, as a learner does, and cannot be told when it is done with.
    """

    def __init__(self, bytes_max: int = sys.maxsize) -> None:
        """Keep no memory of a buffer larger than `bytes_max`."""
        super().__init__(1)
        self._bytes_max = bytes_max
        self._lent: list[Buffer] = []  # the last one

    @override
    def take(self, nbytes: int) -> Buffer:
        if nbytes > self._bytes_max:
            return np.empty(nbytes, np.uint8)
        if self._lent and is_held_by_nobody_else(self._lent):
            last = self._lent.pop()
            last.flags.writeable = True  # it was a model
            self.give(last)
        self._lent = [super().take(nbytes)]
        return self._lent[0]


def is_held_by_nobody_else(holder: list[Buffer]) -> bool:
    """Whether the one buffer in this list is referred to from there alone: no variable holds it, and no view of it is left.

    A view refers to the buffer that it shows, and so does what was made of the view without a copy, in any library.
    """
    return _references(holder) == _ALONE


def _references(holder: list[Buffer]) -> int:
    return sys.getrefcount(holder[0])


_ALONE = _references([np.empty(0, np.uint8)])
"""What is counted where there is nobody else: the interpreter's own references differ from version to version."""
