"""Weighted means: sums over blocks, in levels, and what their factors are counted in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fedactors.aggregation import _compiled
from fedactors.aggregation._kernels import BLOCK, Block, accumulator, add_scaled, cut, write_mean, zero_padding
from fedactors.aggregation._scratch import Bench, Scratch, new_version
from fedactors.aggregation.lanes import share_out
from fedactors.model import Array, Buffer, Layout

FAN = 16
"""Sums of so many terms are added up one level higher, so that rounding errors grow with the number of levels, not of updates.

Measured with 200 equal updates, the worst case: a plain float32 sum is off by 3e-6, this one by 5e-7, at the same speed.
"""

COMPILED_BLOCK = 32_768
"""The least elements in a block of many terms that a compiled kernel adds in one call: 100,000 are work for two threads."""


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
        scale, out = Scale(), new_version(self._layout.nbytes)
        scaled = scale.scaled(terms)
        assert scaled

        def work(block: Block) -> None:
            with self._scratch.bench() as bench:
                total = BlockSum(block, bench.array)
                total.add_all(scaled, bench)
                total.mean(out, scale.factors, bench)

        size = BLOCK if _compiled.kernels is None else min(BLOCK, max(COMPILED_BLOCK, self._elements // 8))
        share_out(work, cut(self._layout, size), self._elements * len(scaled))
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
        out = new_version(self._layout.nbytes)

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
        address: of the buffer.
        base_address: of the base.
    """

    buffer: Buffer
    factor: float
    base: Buffer | None
    shrink: float
    address: int
    base_address: int | None


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
        base_address = None if base is None else _compiled.address(base)
        return Scaled(buffer, factor / self.unit, base, shrink, _compiled.address(buffer), base_address)

    def _to_power_of_two(self) -> float:
        mantissa, exponent = math.frexp(self.unit)
        self.unit = math.ldexp(0.5, exponent)
        self.factors *= 2 * mantissa
        return 2 * mantissa


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

    def add_all(self, terms: Sequence[Scaled], bench: Bench) -> None:
        """Fold each term into level 0, and full levels into the one above."""
        for group in _groups(terms, self._count):
            if group[0].shrink != 1:
                self.shrink(group[0].shrink)
            fresh = self._open(0)
            _add_group(self._levels[0], self.block, group, bench, fresh=fresh)
            self._count += len(group)
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


def _groups(terms: Sequence[Scaled], count: int) -> Iterator[Sequence[Scaled]]:
    """Terms with nothing to be done between them: none but the first shrinks what is there, and level 0 is full after the last.

    Args:
        terms: in order.
        count: of the terms that were added before.
    """
    start = 0
    for end in range(1, len(terms) + 1):
        if end == len(terms) or terms[end].shrink != 1 or (count + end) % FAN == 0:
            yield terms[start:end]
            start = end


def _add_group(total: Array, block: Block, terms: Sequence[Scaled], bench: Bench, *, fresh: bool) -> None:
    """Add the terms to total, one after the other; where `fresh`, what total holds does not count."""
    if _compiled.add(total, block, terms, fresh=fresh):
        return
    tmp = bench.array(total.size, total.dtype)
    for term in terms:
        less = None if term.base is None else block.terms(term.base)
        add_scaled(total, block.terms(term.buffer), term.factor, tmp, fresh=fresh, less=less)
        fresh = False
