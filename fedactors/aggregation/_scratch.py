"""Warm memory for temporaries: fresh memory costs a page fault every 4 KiB."""

from __future__ import annotations

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
