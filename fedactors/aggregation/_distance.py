"""Distances between updates, by one matrix product over blocks of columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from fedactors.aggregation._kernels import BLOCK, blocks, values
from fedactors.model import Array, Buffer, Layout, is_floating

TILE_BYTES = 4 * 1024 * 1024
"""Of all rows of a block together."""


def gram(layout: Layout, buffers: Sequence[Buffer], origin: Buffer, dtype: npt.DTypeLike = np.float32) -> Array:
    """The inner products of the updates' differences from `origin`: float64[n, n], over floating-point tensors.

    Products are summed in `dtype` within a block, in float64 over blocks. An update near `origin` keeps its precision whatever
    the others are; one of 1e19 or beyond overflows to infinity or NaN in float32.
    """
    number = len(buffers)
    columns = max(1, TILE_BYTES // (number * np.dtype(dtype).itemsize))
    tile, total = np.empty((number, columns), dtype), np.zeros((number, number))
    with np.errstate(all="ignore"):
        for rows, base in _runs(layout, buffers, origin):
            for start in range(0, base.size, columns):
                at = slice(start, min(start + columns, base.size))
                block = tile[:, : at.stop - at.start]
                for line, row in zip(block, rows, strict=True):
                    np.subtract(row[at], base[at], out=line, dtype=line.dtype, casting="unsafe")
                total += block @ block.T
    return total


def squared_distances(inner: Array) -> Array:
    """|a - b|^2 of each pair, from their inner products; infinite where these are not finite."""
    with np.errstate(all="ignore"):
        squares = np.diag(inner)
        distances = squares[:, np.newaxis] + squares - 2 * inner
    return np.where(np.isfinite(distances), np.maximum(distances, 0.0), np.inf)


def norm(layout: Layout, buffer: Buffer, base: Buffer) -> float:
    """The Euclidean norm of the difference of two models over floating-point tensors, summed in float64."""
    tmp, total = np.empty(BLOCK), 0.0
    with np.errstate(all="ignore"):
        for (row,), origin in _runs(layout, [buffer], base):
            for at in blocks(row.size):
                delta = np.subtract(row[at], origin[at], out=tmp[: at.stop - at.start], dtype=np.float64, casting="unsafe")
                total += float(np.dot(delta, delta))
    return float(np.sqrt(total))


def shortened(layout: Layout, buffer: Buffer, base: Buffer, scale: float, out: Buffer) -> None:
    """Write base + scale * (buffer - base) for floating-point tensors, and the others as they are."""
    out[:] = buffer
    with np.errstate(all="ignore"):
        for (row, target), origin in _runs(layout, [buffer, out], base):
            tmp = np.empty(min(BLOCK, row.size), np.float64 if row.dtype == np.float64 else np.float32)
            for at in blocks(row.size):
                delta = np.subtract(row[at], origin[at], out=tmp[: at.stop - at.start], dtype=tmp.dtype, casting="unsafe")
                np.multiply(delta, tmp.dtype.type(scale), out=delta)
                np.add(delta, origin[at], out=delta, casting="unsafe")
                np.copyto(target[at], delta, casting="unsafe")


def _runs(layout: Layout, buffers: Sequence[Buffer], base: Buffer) -> Iterator[tuple[list[Array], Array]]:
    """Each floating-point run of the buffers, and of the base."""
    for dtype, start, end in layout.runs():
        if is_floating(dtype) and start < end:
            yield [values(buffer, dtype, start, end) for buffer in buffers], values(base, dtype, start, end)
