"""Distances between updates, by one matrix product over blocks of columns.

A peer's padding may hold anything, NaN too, and counts for no distance: `Padding` blanks it in every block.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fedactors.aggregation._kernels import BLOCK, Block, cut
from fedactors.aggregation._scratch import Bench, Scratch
from fedactors.aggregation.lanes import share_out
from fedactors.model import DTYPES, Array, Buffer, Layout, is_floating

TILE_BYTES = 4 * 1024 * 1024
"""Of all rows of a block together."""

STRETCHES = 16
"""Sums of inner products that are made apart and then added up in order, so that the bits are those of one lane."""


def gram(layout: Layout, buffers: Sequence[Buffer], origin: Buffer, dtype: npt.DTypeLike = np.float32) -> Array:
    """The inner products of the updates' differences from `origin`: float64[n, n], over floating-point tensors.

    Products are summed in `dtype` within a block, in float64 over blocks. An update near `origin` keeps its precision whatever
    the others are; one of 1e19 or beyond overflows to infinity or NaN in float32.
    """
    number = len(buffers)
    columns = max(1, TILE_BYTES // (number * np.dtype(dtype).itemsize))
    blocks, scratch = _floating(layout, columns), Scratch(number * columns * np.dtype(dtype).itemsize)
    sums = np.zeros((min(STRETCHES, len(blocks)), number, number))
    padding = Padding(layout)

    def work(stretch: int) -> None:
        for block in blocks[stretch :: len(sums)]:
            with scratch.bench() as bench:
                tile = bench.array(number * block.size, dtype).reshape(number, block.size)
                for line, buffer in zip(tile, buffers, strict=True):
                    np.subtract(block.of(buffer), block.of(origin), out=line, dtype=line.dtype, casting="unsafe")
                padding.blank(block, tile)
                sums[stretch] += tile @ tile.T

    share_out(work, range(len(sums)), number * layout.num_parameters)
    return np.asarray(sums.sum(axis=0))


def squared_distances(inner: Array) -> Array:
    """|a - b|^2 of each pair, from their inner products; infinite where these are not finite."""
    with np.errstate(all="ignore"):
        squares = np.diag(inner)
        distances = squares[:, np.newaxis] + squares - 2 * inner
    return np.where(np.isfinite(distances), np.maximum(distances, 0.0), np.inf)


def norm(layout: Layout, buffer: Buffer, base: Buffer) -> float:
    """The Euclidean norm of the difference of two models over floating-point tensors, summed in float64."""
    blocks, scratch = _floating(layout, BLOCK), Scratch(8 * BLOCK)
    squares, padding = np.zeros(len(blocks)), Padding(layout)

    def work(index: int) -> None:
        block = blocks[index]
        with scratch.bench() as bench:
            delta = bench.array(block.size, np.float64)
            np.subtract(block.of(buffer), block.of(base), out=delta, dtype=np.float64, casting="unsafe")
            padding.blank(block, delta)
            squares[index] = np.dot(delta, delta)

    share_out(work, range(len(blocks)), 2 * layout.num_parameters)
    return float(np.sqrt(squares.sum()))


def shortened(layout: Layout, buffer: Buffer, base: Buffer, scale: float, out: Buffer) -> None:
    """Write base + scale * (buffer - base) for floating-point tensors, and the others as they are."""
    out[:] = buffer
    scratch = Scratch(8 * BLOCK)

    def work(block: Block) -> None:
        with scratch.bench() as bench:
            _shorten(block, base, scale, out, bench)

    share_out(work, _floating(layout, BLOCK), 2 * layout.num_parameters)


def _shorten(block: Block, base: Buffer, scale: float, out: Buffer, bench: Bench) -> None:
    target, origin = block.of(out), block.of(base)
    delta = bench.array(block.size, np.float64 if block.dtype == "float64" else np.float32)
    np.subtract(target, origin, out=delta, dtype=delta.dtype, casting="unsafe")
    np.multiply(delta, delta.dtype.type(scale), out=delta)
    np.add(delta, origin, out=delta, casting="unsafe")
    np.copyto(target, delta, casting="unsafe")


def _floating(layout: Layout, elements: int) -> list[Block]:
    """The blocks of a layout's floating-point tensors."""
    return [block for block in cut(layout, elements) if is_floating(block.dtype)]


class Padding:
    """Where a layout's padding lies: (first byte, end byte) pairs, in order."""

    def __init__(self, layout: Layout) -> None:
        ends = [*(following.offset for following in layout.tensors[1:]), layout.nbytes]
        self._gaps = [(tensor.offset + tensor.nbytes, end) for tensor, end in zip(layout.tensors, ends, strict=True)]
        self._ends = [end for _, end in self._gaps]

    def blank(self, block: Block, columns: Array) -> None:
        """Zero a block's padding in `columns`, [..., block.size]."""
        itemsize = DTYPES[block.dtype].itemsize
        for start, end in self._gaps[bisect_right(self._ends, block.start) :]:
            if start >= block.end:
                break
            columns[..., max(start - block.start, 0) // itemsize : (min(end, block.end) - block.start) // itemsize] = 0
