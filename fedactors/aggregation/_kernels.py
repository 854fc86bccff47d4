"""The arithmetic of aggregation: flat buffers, in blocks that stay in cache, with numpy calls that release the GIL.

A layout is worked on as its `runs`: long flat arrays of one dtype, padding included. Runs are cut into blocks, each with its own
accumulator; the blocks are what lanes share out, and an element's sum has the same terms in the same order however they are cut.

    dtype of the run               accumulator
    bfloat16, float16, float32     float32
    float64, integers, bool        float64
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fedactors.aggregation._scratch import Bench, Scratch
from fedactors.aggregation.lanes import share_out
from fedactors.model import DTYPES, Array, Buffer, Layout, is_floating

BLOCK = 131_072
"""Elements in a block: its sum and a temporary stay in cache, and a numpy call on it takes long enough for two threads to pay."""

FAN = 16
"""Sums of so many terms are added up one level higher, so that rounding errors grow with the number of levels, not of updates.

Measured with 200 equal updates, the worst case: a plain float32 sum is off by 3e-6, this one by 5e-7, at the same speed.
"""


class Term(NamedTuple):
    """A buffer to be summed.

    Attributes:
        buffer: of the layout.
        factor: finite and >= 0; those above 0 within 1e30 of one another.
        base: what the buffer is the difference from, where that is what is summed.
    """

    buffer: Buffer
    factor: float
    base: Buffer | None = None


class WeightedMean:
    """sum p_i w_i / sum p_i over buffers of one layout, folded as they come; or sum p_i (w_i - b_i), a step.

    Not safe for two threads at once; its methods may run in any thread.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._sums = [BlockSum(block) for block in cut(layout, BLOCK)]
        self._elements = sum(total.block.size for total in self._sums)
        self._scale = Scale()
        self._scratch = Scratch(max((total.nbytes for total in self._sums), default=0))

    @property
    def factors(self) -> float:
        """The sum of the factors added, in some unit; 0 where nothing counts yet."""
        return self._scale.factors

    def add(self, buffer: Buffer, factor: float, base: Buffer | None = None) -> None:
        """Fold one buffer, which is not kept, or its difference from a base; see `Term`."""
        self.add_all([Term(buffer, factor, base)])

    def add_all(self, terms: Iterable[Term]) -> None:
        """Fold several buffers in one pass over memory; bit by bit what `add` makes of them one after the other."""
        scaled = self._scale.scaled(terms)

        def work(total: BlockSum) -> None:
            with self._scratch.bench() as bench:
                total.add_all(scaled, bench)

        share_out(work, self._sums, self._elements)

    def mean_of(self, terms: Iterable[Term]) -> Buffer:
        """The mean of these buffers alone, in a new buffer; bit by bit what `add_all` and `take` make of them.

        It takes one pass, and no accumulator but a block's. What was added is left as it is. Needs a factor above 0.
        """
        scale, out = Scale(), np.empty(self._layout.nbytes, np.uint8)
        scaled = scale.scaled(terms)
        assert scaled

        def work(block: Block) -> None:
            with self._scratch.bench() as bench:
                total = BlockSum(block, bench.array)
                total.add_all(scaled, bench)
                total.mean(out, scale.factors, bench)

        share_out(work, cut(self._layout, BLOCK), self._elements)
        zero_padding(out, self._layout)
        return out

    def shrink(self, exponent: int) -> None:
        """Multiply what was added by 2^-exponent, as if its factors had been so much smaller; exact until it vanishes."""
        factor = math.ldexp(1.0, -exponent)
        self._scale.factors *= factor
        share_out(lambda total: total.shrink(factor), self._sums, self._elements)

    def take(self) -> Buffer:
        """The mean, in a new buffer whose padding is zero; nothing is added any more. Needs factors above 0."""
        assert self.factors > 0
        return self._taken(lambda total, out, bench: total.mean(out, self.factors, bench))

    def step(self, current: Buffer, scale: float) -> Buffer:
        """Current + scale * sum p_i (w_i - b_i), in a new buffer; nothing is added any more."""
        assert self.factors > 0
        scale *= self._scale.unit
        return self._taken(lambda total, out, bench: total.step(out, current, scale, bench))

    def _taken(self, write: Callable[[BlockSum, Buffer, Bench], None]) -> Buffer:
        out = np.empty(self._layout.nbytes, np.uint8)

        def work(total: BlockSum) -> None:
            with self._scratch.bench() as bench:
                write(total, out, bench)

        share_out(work, self._sums, self._elements)
        zero_padding(out, self._layout)
        self.clear()
        return out

    def clear(self) -> None:
        """Begin again; the memory is kept for the next round."""
        self._scale.clear()
        for total in self._sums:
            total.clear()


class Scaled(NamedTuple):
    """A term whose factor is counted in a scale's unit.

    Attributes:
        shrink: what the sum of the terms before it is multiplied by first; 1: nothing.
    """

    buffer: Buffer
    factor: float
    base: Buffer | None
    shrink: float


class Scale:
    """What the factors of a round are counted in.

    Factors that are all equal are counted as ones: nothing needs to be multiplied. As soon as they differ, they are counted in a
    power of two near the first: exact, and sums neither overflow nor vanish.

    Attributes:
        unit: as a factor.
        factors: their sum, in units.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin again."""
        self.unit, self.factors = 1.0, 0.0

    def scaled(self, terms: Iterable[Term]) -> list[Scaled]:
        """The terms that count."""
        return [self._scaled(*term) for term in terms if term.factor]

    def _scaled(self, buffer: Buffer, factor: float, base: Buffer | None) -> Scaled:
        shrink = 1.0
        if not self.factors:
            self.unit = factor
        elif factor != self.unit:
            shrink = self._to_power_of_two()
        self.factors += factor / self.unit
        return Scaled(buffer, factor / self.unit, base, shrink)

    def _to_power_of_two(self) -> float:
        mantissa, exponent = math.frexp(self.unit)
        self.unit = math.ldexp(0.5, exponent)
        self.factors *= 2 * mantissa
        return 2 * mantissa


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


class BlockSum:
    """The weighted sum of one block.

    `levels[k]` is the sum of up to `FAN` terms of level k - 1; what it holds counts only while `filled[k]`.
    """

    def __init__(self, block: Block, memory: Callable[[int, npt.DTypeLike], Array] = np.empty) -> None:
        """For a block; its levels come from `memory`."""
        self.block = block
        self._level = partial(memory, block.size, accumulator(block.dtype))
        self._levels: list[Array] = []
        self._filled: list[bool] = []
        self._count = 0

    @property
    def nbytes(self) -> int:
        """Of one level."""
        return self.block.size * np.dtype(accumulator(self.block.dtype)).itemsize

    def add_all(self, terms: Iterable[Scaled], bench: Bench) -> None:
        """Fold each term into level 0, and full levels into the one above."""
        tmp = bench.array(self.block.size, accumulator(self.block.dtype))
        for buffer, factor, base, shrink in terms:
            if shrink != 1:
                self.shrink(shrink)
            less = None if base is None else self.block.terms(base)
            fresh = self._open(0)
            add_scaled(self._levels[0], self.block.terms(buffer), factor, tmp, fresh=fresh, less=less)
            self._count += 1
            level, filled = 0, self._count
            while filled % FAN == 0:
                self._carry(level)
                level, filled = level + 1, filled // FAN

    def mean(self, out: Buffer, factors: float, bench: Bench) -> None:
        """Write the block's mean into its place in `out`."""
        write_mean(self.block.of(out), self._total(), factors, bench, self.block.dtype)

    def step(self, out: Buffer, current: Buffer, scale: float, bench: Bench) -> None:
        """Write current + scale * total into the block's place in `out`."""
        total = self._total()
        np.multiply(total, total.dtype.type(scale), out=total)
        add_scaled(total, self.block.terms(current), 1.0, bench.array(total.size, total.dtype), fresh=False)
        write_mean(self.block.of(out), total, 1.0, bench, self.block.dtype)

    def shrink(self, factor: float) -> None:
        """Multiply every level that counts."""
        for level in (level for level, filled in zip(self._levels, self._filled, strict=True) if filled):
            np.multiply(level, level.dtype.type(factor), out=level)

    def clear(self) -> None:
        """Begin again."""
        self._count = 0
        self._filled = [False] * len(self._levels)

    def _total(self) -> Array:
        """The sum of all levels."""
        top = len(self._levels) - 1
        for level in range(top):
            if self._filled[level]:
                self._carry(level)
        return self._levels[top]

    def _open(self, level: int) -> bool:
        """Make a level ready to be added to; whether it is empty."""
        if level == len(self._levels):
            self._levels.append(self._level())
            self._filled.append(False)
        fresh = not self._filled[level]
        self._filled[level] = True
        return fresh

    def _carry(self, level: int) -> None:
        levels = self._levels
        if self._open(level + 1):
            levels[level], levels[level + 1] = levels[level + 1], levels[level]
        else:
            np.add(levels[level + 1], levels[level], out=levels[level + 1])
        self._filled[level] = False


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
