"""Warm memory for temporaries: fresh memory costs a page fault every 4 KiB."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from fedactors.model import Array, Buffer


class Bench:
    """The temporaries of one lane."""

    def __init__(self, nbytes: int) -> None:
        """Of arrays of at most so many bytes."""
        self._nbytes = nbytes
        self._arrays: list[Buffer] = []
        self._used = 0

    def array(self, size: int, dtype: npt.DTypeLike) -> Array:
        """An array that nobody else uses until the bench is cleared; what it holds is anything."""
        if self._used == len(self._arrays):
            self._arrays.append(np.empty(self._nbytes, np.uint8))
        memory = self._arrays[self._used]
        self._used += 1
        return memory[: size * np.dtype(dtype).itemsize].view(dtype)

    def clear(self) -> None:
        """All arrays are free again."""
        self._used = 0


class Scratch:
    """As many benches as there are lanes at work at the same time."""

    def __init__(self, nbytes: int) -> None:
        """Of arrays of at most so many bytes."""
        self._nbytes = nbytes
        self._idle: list[Bench] = []

    @contextmanager
    def bench(self) -> Iterator[Bench]:
        """A bench for the work on one item."""
        try:
            bench = self._idle.pop()  # in one step, so that two threads never get the same
        except IndexError:
            bench = Bench(self._nbytes)
        yield bench
        bench.clear()
        self._idle.append(bench)


IDLE_MAX = 1
"""Versions that are gone and whose memory is kept for the next one, in a process."""

_idle: deque[Buffer] = deque(maxlen=IDLE_MAX)


class _Lent:
    """The memory behind an array and all views of it: idle again when the last of them is gone."""

    __slots__ = ("__array_interface__", "_memory")

    def __init__(self, memory: Buffer) -> None:
        self._memory = memory
        self.__array_interface__ = memory.__array_interface__

    def __del__(self) -> None:
        _idle.append(self._memory)


def forget() -> None:
    """Keep nothing of versions that are gone."""
    _idle.clear()


def new_version(nbytes: int) -> Buffer:
    """A buffer for a version, uint8[nbytes], warm where one of this size is gone; what it holds is anything."""
    try:
        memory = _idle.pop()  # in one step, so that two threads never get the same
    except IndexError:
        memory = np.empty(nbytes, np.uint8)
    if memory.nbytes != nbytes:
        memory = np.empty(nbytes, np.uint8)
    return np.asarray(_Lent(memory))
