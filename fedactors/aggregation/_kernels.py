"""The arithmetic of aggregation: flat buffers, in blocks that stay in cache, with numpy calls that release the GIL.

A layout is worked on as its `runs`: long flat arrays of one dtype, padding included. Runs are cut into blocks, each with its own
accumulator; the blocks are what lanes share out, and an element's sum has the same terms in the same order however they are cut.

    dtype of the run               accumulator
    bfloat16, float16, float32     float32
    float64, integers, bool        float64
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedactors.aggregation._scratch import Bench
from fedactors.model import DTYPES, Array, Buffer, Layout, is_floating

BLOCK = 131_072
"""Elements in a block: its sum and a temporary stay in cache, and a numpy call on it takes long enough for two threads to pay."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a layout.

    Attributes:
        dtype: of all of it.
        start: its first byte.
        end: behind its last byte.
    """

    dtype: str
    start: int
    end: int

    @property
    def size(self) -> int:
        """Elements."""
        return (self.end - self.start) // DTYPES[self.dtype].itemsize

    def of(self, buffer: Buffer) -> Array:
        """The block of a buffer as a flat array; see `values`."""
        return values(buffer, self.dtype, self.start, self.end)

    def terms(self, buffer: Buffer) -> Array:
        """The block of a buffer as what is summed: as `of`, but bools are 0 or 1."""
        return self.of(buffer) != 0 if self.dtype == "bool" else self.of(buffer)


def accumulator(dtype: str) -> npt.DTypeLike:
    """What a run of this dtype is summed in."""
    return np.float32 if is_floating(dtype) and DTYPES[dtype].itemsize <= 4 else np.float64


def cut(layout: Layout, elements: int) -> list[Block]:
    """Blocks of at most so many elements that cover a layout."""
    cuts = []
    for dtype, start, end in layout.runs():
        itemsize = DTYPES[dtype].itemsize
        stretches = blocks((end - start) // itemsize, elements)
        cuts += [Block(dtype, start + at.start * itemsize, start + at.stop * itemsize) for at in stretches]
    return cuts


def blocks(size: int, most: int = BLOCK) -> Iterator[slice]:
    """Slices of at most so many elements, about equal, that cover an array; they begin at multiples of a cache line."""
    number = -(-size // most)
    width = -(-size // (16 * number)) * 16 if number else 1
    return (slice(start, min(start + width, size)) for start in range(0, size, width))


def values(buffer: Buffer, dtype: str, start: int, end: int) -> Array:
    """A stretch as a flat array; bools as uint8, since a peer's bytes may be neither 0 nor 1."""
    return buffer[start:end].view(np.uint8 if dtype == "bool" else DTYPES[dtype])


def add_scaled(total: Array, terms: Array, factor: float, tmp: Array, *, fresh: bool, less: Array | None = None) -> None:
    """Add factor * (terms - less) to total; where `fresh`, total becomes factor * (terms - less).

    Args:
        total: float[n], float32 or float64.
        terms: of any dtype, [n].
        factor: rounded to total's dtype; 1 needs no multiplication.
        tmp: like total.
        fresh: what total holds does not count.
        less: like terms; nothing is taken away without it.
    """
    out = total if fresh else tmp
    if less is not None:
        terms = np.subtract(terms, less, out=out, dtype=total.dtype, casting="unsafe")
    elif terms.dtype != total.dtype:
        np.copyto(out, terms, casting="unsafe")
        terms = out
    if factor != 1:
        terms = np.multiply(terms, total.dtype.type(factor), out=out)
    if not fresh:
        np.add(total, terms, out=total)
    elif terms is not total:
        np.copyto(total, terms)


def write_mean(out: Array, total: Array, factors: float, bench: Bench, dtype: str) -> None:
    """Write total / factors in out's dtype: rounded to nearest, half to even.

    Integers of 64 bits saturate at the last float64 that they can hold.
    """
    divisor = total.dtype.type(factors)
    if out.dtype == total.dtype:
        np.divide(total, divisor, out=out)
        return
    mean = np.divide(total, divisor, out=bench.array(total.size, total.dtype))
    if not is_floating(dtype):
        np.rint(mean, out=mean)
        np.clip(mean, *bounds(dtype), out=mean)
    np.copyto(out, mean, casting="unsafe")


def bounds(dtype: str) -> tuple[float, float]:
    """The least and the greatest float64 that an integer dtype holds."""
    if dtype == "bool":
        return 0.0, 1.0
    info: Any = np.iinfo(DTYPES[dtype])
    greatest = float(info.max)
    return float(info.min), greatest if int(greatest) <= info.max else math.nextafter(greatest, 0.0)


def zero_padding(buffer: Buffer, layout: Layout) -> None:
    """Zero the bytes behind each tensor, which a peer's update may have filled with anything."""
    for tensor, end in zip(layout.tensors, [*(following.offset for following in layout.tensors[1:]), layout.nbytes], strict=True):
        if (used := tensor.offset + tensor.nbytes) < end:
            buffer[used:end] = 0
