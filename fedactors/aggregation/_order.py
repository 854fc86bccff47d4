"""Order statistics over rows of updates, coordinate by coordinate, in blocks of columns that stay in cache.

Up to `NETWORK_MAX` rows go through a sorting network of whole-row minima and maxima, pruned to what the result needs; more are
turned into columns and sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from fedactors.aggregation import _compiled
from fedactors.aggregation._kernels import Block, accumulator, cut, write_mean, zero_padding
from fedactors.aggregation._scratch import Bench, Scratch, new_version
from fedactors.aggregation.lanes import share_out
from fedactors.model import DTYPES, Array, Buffer, Layout, is_floating

NETWORK_MAX = 64
"""Rows up to which a network is faster than sorting columns."""

NETWORK_COLUMNS = 49_152
"""Of a block: the rows of ten updates stay in cache, and a numpy call on one takes long enough for two threads to pay."""

SORTED_VALUES = 262_144
"""Of all rows of a block together: what stays in a core's second-level cache while columns are sorted."""

Comparator: TypeAlias = tuple[int, int, bool, bool]
"""(i, j, low, high): line i gets the lesser where `low`, line j the greater where `high`."""


def middle_mean(layout: Layout, buffers: Sequence[Buffer], trim: int) -> Buffer:
    """The mean of what is left of each coordinate without its `trim` least and `trim` greatest values, in a new buffer.

    A single value that is left is exact in every dtype; the mean of several is rounded once, half to even.
    """
    assert 0 <= 2 * trim < len(buffers)

    def work(block: Block, out: Buffer, bench: Bench) -> None:
        rows, total = _sortable(block, buffers, bench), bench.array(block.size, accumulator(block.dtype))
        if len(rows) <= NETWORK_MAX and _compiled.add_middle(total, rows, pairs(len(rows), trim), trim):
            write_mean(block.of(out), total, float(len(rows) - 2 * trim), bench, block.dtype)
            return
        middle = _middle_rows(rows, trim, bench)
        if len(middle) == 1:
            np.copyto(block.of(out), middle[0], casting="unsafe")
            return
        np.add(middle[0], middle[1], out=total, dtype=total.dtype, casting="unsafe")
        for row in middle[2:]:
            np.add(total, row, out=total, casting="unsafe")
        write_mean(block.of(out), total, float(len(middle)), bench, block.dtype)

    columns = NETWORK_COLUMNS if len(buffers) <= NETWORK_MAX else SORTED_VALUES // len(buffers)
    return _by_blocks(layout, columns, len(buffers), work)


def _by_blocks(layout: Layout, columns: int, rows: int, work: Callable[[Block, Buffer, Bench], None]) -> Buffer:
    """A new buffer whose blocks of so many columns are written by `work`, which looks at so many rows of each."""
    columns = max(columns, 1)
    out, scratch = new_version(layout.nbytes), Scratch(8 * columns)

    def on_bench(block: Block) -> None:
        with scratch.bench() as bench:
            work(block, out, bench)

    share_out(on_bench, cut(layout, columns), rows * layout.num_parameters)
    zero_padding(out, layout)
    return out


def _sortable(block: Block, buffers: Sequence[Buffer], bench: Bench) -> list[Array]:
    """The rows of a block in a dtype that sorts fast: the buffers' own, or copies."""
    narrow = is_floating(block.dtype) and DTYPES[block.dtype].itemsize < 4
    if not narrow and block.dtype != "bool":
        return [block.of(buffer) for buffer in buffers]
    copies = [bench.array(block.size, np.float32 if narrow else np.uint8) for _ in buffers]
    for copy, buffer in zip(copies, buffers, strict=True):
        np.copyto(copy, block.terms(buffer), casting="unsafe")
    return copies


def _middle_rows(rows: list[Array], trim: int, bench: Bench) -> Sequence[Array]:
    """The rows that are left when each column is in order and trimmed; which of them is which is not said."""
    if len(rows) > NETWORK_MAX:
        return list(sorted_rows(rows)[trim : len(rows) - trim])
    places = [bench.array(row.size, row.dtype) for row in rows]
    lines, spare = list(rows), bench.array(rows[0].size, rows[0].dtype)
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


@lru_cache(maxsize=256)
def pairs(lines: int, trim: int) -> Array:
    """The lines that a network compares, intp[comparators, 2]."""
    return np.array([(i, j) for i, j, _, _ in network(lines, trim)], np.intp).reshape(-1, 2)


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

    def work(block: Block, out: Buffer, bench: Bench) -> None:
        rows = [block.terms(buffer).astype(accumulator(block.dtype)) for buffer in buffers]
        write_mean(block.of(out), _nearest_sum(sorted_rows(rows), count), float(count), bench, block.dtype)

    return _by_blocks(layout, SORTED_VALUES // len(buffers), len(buffers), work)


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
