"""The arithmetic of aggregation: flat buffers, in blocks that stay in cache, with numpy calls that release the GIL.

A layout is worked on as its `runs`: long flat arrays of one dtype, padding included. Each run has its own accumulator:

    dtype of the run               accumulator
    bfloat16, float16, float32     float32
    float64, integers, bool        float64
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fedactors.model import DTYPES, Array, Buffer, Layout, is_floating

BLOCK = 131_072
"""Elements in a block: its temporary stays in cache, and a numpy call on it takes long enough for two threads to pay."""

FAN = 16
"""Sums of so many terms are added up one level higher, so that rounding errors grow with the number of levels, not of updates.

Measured with 200 equal updates, the worst case: a plain float32 sum is off by 3e-6, this one by 5e-7, at the same speed.
"""


class WeightedMean:
    """sum p_i w_i / sum p_i over buffers of one layout, folded as they come; or sum p_i (w_i - b_i), a step.

    Not safe for two threads at once; `add` and `take` may run in any thread.

    Attributes:
        factors: the sum of the factors added, scaled by a power of two; 0 where nothing counts yet.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._sums = [_Sum(dtype, start, end) for dtype, start, end in layout.runs() if start < end]
        self._exponent = 0
        self.factors = 0.0

    def add(self, buffer: Buffer, factor: float, base: Buffer | None = None) -> None:
        """Fold one buffer, which is not kept, or its difference from a base.

        Factors are finite and >= 0, and those above 0 within 1e30 of one another.
        """
        assert buffer.nbytes == self._layout.nbytes, f"a buffer of {buffer.nbytes} bytes for a layout of {self._layout.nbytes}"
        if factor == 0:
            return
        if not self.factors:  # by a power of two to about 1: exact, and sums neither overflow nor vanish
            self._exponent = math.frexp(factor)[1]
        scaled = math.ldexp(factor, -self._exponent)
        self.factors += scaled
        with np.errstate(all="ignore"):  # a diverged learner's infinities are its own news, not a warning of ours
            for run in self._sums:
                run.add(buffer, scaled, base)

    def shrink(self, exponent: int) -> None:
        """Multiply what was added by 2^-exponent, as if its factors had been so much smaller; exact until it vanishes."""
        self.factors = math.ldexp(self.factors, -exponent)
        for run in self._sums:
            run.shrink(math.ldexp(1.0, -exponent))

    def take(self) -> Buffer:
        """The mean, in a new buffer whose padding is zero; nothing is added any more. Needs factors above 0."""
        assert self.factors > 0
        out = np.empty(self._layout.nbytes, np.uint8)
        with np.errstate(all="ignore"):
            for run in self._sums:
                run.mean(out, self.factors)
        zero_padding(out, self._layout)
        self.clear()
        return out

    def step(self, current: Buffer, scale: float) -> Buffer:
        """Current + scale * sum p_i (w_i - b_i), in a new buffer; nothing is added any more. Scale counts unscaled factors."""
        assert self.factors > 0
        out = np.empty(self._layout.nbytes, np.uint8)
        with np.errstate(all="ignore"):
            for run in self._sums:
                run.step(out, current, math.ldexp(scale, self._exponent))
        zero_padding(out, self._layout)
        self.clear()
        return out

    def clear(self) -> None:
        """Begin again; the memory is kept for the next round."""
        self.factors = 0.0
        for run in self._sums:
            run.clear()


@dataclass(slots=True)
class _Sum:
    """The weighted sum of one run.

    `levels[k]` is the sum of up to `FAN` terms of level k - 1; what it holds counts only while `filled[k]`.
    """

    dtype: str
    start: int
    end: int
    count: int = 0
    levels: list[Array] = field(default_factory=list)
    filled: list[bool] = field(default_factory=list)
    tmp: Array = field(init=False)

    def __post_init__(self) -> None:
        self.tmp = np.empty(min(BLOCK, self.size), accumulator(self.dtype))

    @property
    def size(self) -> int:
        """Elements."""
        return (self.end - self.start) // DTYPES[self.dtype].itemsize

    def add(self, buffer: Buffer, factor: float, base: Buffer | None) -> None:
        """Fold one buffer into level 0, and full levels into the one above."""
        fresh = self._open(0)
        terms, less = self._terms(buffer), None if base is None else self._terms(base)
        add_scaled(self.levels[0], terms, factor, self.tmp, fresh=fresh, less=less)
        self.count += 1
        level, filled = 0, self.count
        while filled % FAN == 0:
            self._carry(level)
            level, filled = level + 1, filled // FAN

    def mean(self, out: Buffer, factors: float) -> None:
        """Write the run's mean into its place in `out`."""
        write_mean(values(out, self.dtype, self.start, self.end), self._total(), factors, self.tmp, self.dtype)

    def step(self, out: Buffer, current: Buffer, scale: float) -> None:
        """Write current + scale * total into the run's place in `out`."""
        total = self._total()
        np.multiply(total, total.dtype.type(scale), out=total)
        add_scaled(total, self._terms(current), 1.0, self.tmp, fresh=False)
        write_mean(values(out, self.dtype, self.start, self.end), total, 1.0, self.tmp, self.dtype)

    def shrink(self, factor: float) -> None:
        """Multiply every level that counts."""
        for level in (level for level, filled in zip(self.levels, self.filled, strict=True) if filled):
            np.multiply(level, level.dtype.type(factor), out=level)

    def clear(self) -> None:
        self.count = 0
        self.filled = [False] * len(self.levels)

    def _terms(self, buffer: Buffer) -> Array:
        terms = values(buffer, self.dtype, self.start, self.end)
        return terms != 0 if self.dtype == "bool" else terms

    def _total(self) -> Array:
        """The sum of all levels."""
        top = len(self.levels) - 1
        for level in range(top):
            if self.filled[level]:
                self._carry(level)
        return self.levels[top]

    def _open(self, level: int) -> bool:
        """Make a level ready to be added to; whether it is empty."""
        if level == len(self.levels):
            self.levels.append(np.empty(self.size, self.tmp.dtype))
            self.filled.append(False)
        fresh = not self.filled[level]
        self.filled[level] = True
        return fresh

    def _carry(self, level: int) -> None:
        if self._open(level + 1):
            self.levels[level], self.levels[level + 1] = self.levels[level + 1], self.levels[level]
        else:
            for at in blocks(self.size):
                np.add(self.levels[level + 1][at], self.levels[level][at], out=self.levels[level + 1][at])
        self.filled[level] = False


def accumulator(dtype: str) -> npt.DTypeLike:
    """What a run of this dtype is summed in."""
    return np.float32 if is_floating(dtype) and DTYPES[dtype].itemsize <= 4 else np.float64


def blocks(size: int) -> Iterator[slice]:
    """Slices of at most `BLOCK` elements that cover an array."""
    return (slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK))


def values(buffer: Buffer, dtype: str, start: int, end: int) -> Array:
    """A run as a flat array; bools as uint8, since a peer's bytes may be neither 0 nor 1."""
    return buffer[start:end].view(np.uint8 if dtype == "bool" else DTYPES[dtype])


def add_scaled(total: Array, terms: Array, factor: float, tmp: Array, *, fresh: bool, less: Array | None = None) -> None:
    """Add factor * (terms - less) to total; where `fresh`, total becomes factor * (terms - less).

    Args:
        total: float[n], float32 or float64.
        terms: of any dtype, [n].
        factor: rounded to total's dtype.
        tmp: like total, [min(n, BLOCK)].
        fresh: what total holds does not count.
        less: like terms; nothing is taken away without it.
    """
    p = total.dtype.type(factor)
    widen = terms.dtype != total.dtype
    for at in blocks(total.size):
        out = total[at] if fresh else tmp[: at.stop - at.start]
        block = terms[at]
        if less is not None:
            block = np.subtract(block, less[at], out=out, dtype=total.dtype, casting="unsafe")
        elif widen:
            np.copyto(out, block, casting="unsafe")
            block = out
        np.multiply(block, p, out=out)
        if not fresh:
            np.add(total[at], out, out=total[at])


def write_mean(out: Array, total: Array, factors: float, tmp: Array, dtype: str) -> None:
    """Write total / factors in out's dtype: rounded to nearest, half to even.

    Integers of 64 bits saturate at the last float64 that they can hold.
    """
    divisor = total.dtype.type(factors)
    for at in blocks(out.size):
        if out.dtype == total.dtype:
            np.divide(total[at], divisor, out=out[at])
            continue
        mean = np.divide(total[at], divisor, out=tmp[: at.stop - at.start])
        if not is_floating(dtype):
            np.rint(mean, out=mean)
            np.clip(mean, *bounds(dtype), out=mean)
        np.copyto(out[at], mean, casting="unsafe")


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
