"""Order statistics over rows of updates, coordinate by coordinate, in blocks of columns that stay in cache.

Up to `NETWORK_MAX` rows go through a sorting network of whole-row minima and maxima, pruned to what the result needs; more are
turned into columns and sorted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from fedactors.aggregation._kernels import accumulator, values, write_mean, zero_padding
from fedactors.model import DTYPES, Array, Buffer, Layout, is_floating

NETWORK_MAX = 32
"""Rows up to which a network is faster than sorting columns."""

TILE_BYTES = 512 * 1024
"""Of all rows of a block together: what stays in a core's second-level cache."""

Comparator: TypeAlias = tuple[int, int, bool, bool]
"""(i, j, low, high): line i gets the lesser where `low`, line j the greater where `high`."""


def middle_mean(layout: Layout, buffers: Sequence[Buffer], trim: int) -> Buffer:
    """The mean of what is left of each coordinate without its `trim` least and `trim` greatest values, in a new buffer.

    A single value that is left is exact in every dtype; the mean of several is rounded once, half to even.
    """
    assert 0 <= 2 * trim < len(buffers)
    out = np.empty(layout.nbytes, np.uint8)
    with np.errstate(all="ignore"):
        for dtype, start, end in layout.runs():
            rows = [values(buffer, dtype, start, end) for buffer in buffers]
            _middle_of_run(rows, values(out, dtype, start, end), trim, dtype)
    zero_padding(out, layout)
    return out


def _middle_of_run(rows: Sequence[Array], out: Array, trim: int, dtype: str) -> None:
    tile = _Tile(len(rows), dtype, out.size)
    for at in tile.blocks(out.size):
        middle = tile.middle([row[at] for row in rows], trim)
        if len(middle) == 1:
            np.copyto(out[at], middle[0], casting="unsafe")
            continue
        total = tile.total[: at.stop - at.start]
        np.add(middle[0], middle[1], out=total, dtype=total.dtype, casting="unsafe")
        for row in middle[2:]:
            np.add(total, row, out=total, casting="unsafe")
        write_mean(out[at], total, float(len(middle)), tile.mean[: total.size], dtype)


class _Tile:
    """The memory that one block's rows are ordered in."""

    def __init__(self, number: int, dtype: str, size: int) -> None:
        self._sorts = np.dtype(np.float32) if is_floating(dtype) and DTYPES[dtype].itemsize < 4 else DTYPES[dtype]
        self._sorts = np.dtype(np.uint8) if dtype == "bool" else self._sorts
        self._bool = dtype == "bool"
        self._columns = max(1, min(size, TILE_BYTES // (number * self._sorts.itemsize)))
        self._lines = np.empty((number + 1, self._columns), self._sorts)
        self.total = np.empty(self._columns, accumulator(dtype))
        self.mean = np.empty_like(self.total)

    def blocks(self, size: int) -> Iterator[slice]:
        """Slices that cover a run."""
        return (slice(start, min(start + self._columns, size)) for start in range(0, size, self._columns))

    def middle(self, rows: Sequence[Array], trim: int) -> Sequence[Array]:
        """The rows that are left when each column is in order and trimmed; which of them is which is not said."""
        if self._bool or rows[0].dtype != self._sorts:
            rows = self._loaded(rows)
        if len(rows) > NETWORK_MAX:
            return list(sorted_rows(rows)[trim : len(rows) - trim])
        return self._through_network(rows, trim)

    def _loaded(self, rows: Sequence[Array]) -> list[Array]:
        loaded = [line[: rows[0].size] for line in self._lines[: len(rows)]]
        for line, row in zip(loaded, rows, strict=True):
            np.copyto(line, row != 0 if self._bool else row, casting="unsafe")
        return loaded

    def _through_network(self, rows: Sequence[Array], trim: int) -> list[Array]:
        size = rows[0].size
        places = [line[:size] for line in self._lines]
        spare, lines = places.pop(), list(rows)
        for i, j, low, high in network(len(rows), trim):
            one, other = lines[i], lines[j]
            if low:
                np.minimum(one, other, out=spare)
            if high:
                np.maximum(one, other, out=places[j])
                lines[j] = places[j]
            if low:
                lines[i], places[i], spare = spare, spare, places[i]
        return lines[trim : len(rows) - trim]


def sorted_rows(rows: Sequence[Array]) -> Array:
    """The rows with every column in ascending order, a new array [rows, columns]."""
    columns = np.empty((rows[0].size, len(rows)), rows[0].dtype)
    np.stack(rows, axis=1, out=columns)
    columns.sort(axis=1)
    return np.ascontiguousarray(columns.T)


@lru_cache(maxsize=256)
def network(lines: int, trim: int) -> tuple[Comparator, ...]:
    """A network that leaves on the middle lines what is neither among the `trim` least nor the `trim` greatest, in any order.

    Batcher's merge exchange (Knuth, The Art of Computer Programming, volume 3, 5.2.2, algorithm M), without comparators, and
    halves of them, that the middle lines do not depend on: a comparator between two lines whose sum is all that is wanted
    changes nothing.
    """
    spilled, summed, wanted = 0, 1, 2
    state = [summed if trim <= line < lines - trim else spilled for line in range(lines)]
    kept: list[Comparator] = []
    for i, j in reversed(list(_merge_exchange(lines))):
        if state[i] == state[j] != wanted:
            continue
        kept.append((i, j, state[i] != spilled, state[j] != spilled))
        state[i] = state[j] = wanted
    return tuple(reversed(kept))


def _merge_exchange(lines: int) -> Iterator[tuple[int, int]]:
    top = 1 << max((lines - 1).bit_length() - 1, 0)
    p = top
    while p:
        q, r, distance = top, 0, p
        while True:
            yield from ((i, i + distance) for i in range(lines - distance) if i & p == r)
            if q == p:
                break
            distance, q, r = q - p, q >> 1, p
        p >>= 1


def nearest_mean(layout: Layout, buffers: Sequence[Buffer], count: int) -> Buffer:
    """The mean of the `count` values of each coordinate that are nearest to its median, in a new buffer.

    They are neighbours once the coordinate is in order; of two values at equal distance the lesser is taken.
    """
    out = np.empty(layout.nbytes, np.uint8)
    with np.errstate(all="ignore"):
        for dtype, start, end in layout.runs():
            rows = [values(buffer, dtype, start, end) for buffer in buffers]
            _nearest_of_run(rows, values(out, dtype, start, end), count, dtype)
    zero_padding(out, layout)
    return out


def _nearest_of_run(rows: Sequence[Array], out: Array, count: int, dtype: str) -> None:
    columns = max(1, TILE_BYTES // (len(rows) * 8))
    for start in range(0, out.size, columns):
        at = slice(start, min(start + columns, out.size))
        block = [(row[at] != 0 if dtype == "bool" else row[at]).astype(accumulator(dtype)) for row in rows]
        total = _nearest_sum(sorted_rows(block), count)
        write_mean(out[at], total, float(count), np.empty_like(total), dtype)


def _nearest_sum(ordered: Array, count: int) -> Array:
    """The sum of the `count` values nearest to the median of each column of ascending rows."""
    number = len(ordered)
    median = (ordered[(number - 1) // 2] + ordered[number // 2]) / 2
    first = np.zeros(median.size, np.intp)
    for start in range(number - count):  # a group moves on while the value behind it is nearer than its own first
        first += median - ordered[start] > ordered[start + count] - median
    total = np.zeros_like(median)
    for offset in range(count):
        total += np.take_along_axis(ordered, (first + offset)[np.newaxis], 0)[0]
    return np.asarray(total)
