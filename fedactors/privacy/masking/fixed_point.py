"""Differences of weights as whole numbers, so that sums of them are exact and wrap modulo 2^b. Pure.

    word_i = round(n_i clip(w_i - x, c) / step)      step = c F / limit       limit = (2^(b-1) - 1) // N - 1, at most 2^52
    x'     = x + step sum_i word_i / sum_i n_i

with x the base, w_i a learner's weights, n_i <= F its factor (a whole number) and N the learners that the round began with. N
words of at most `limit` cannot wrap. Where nothing was clipped, the mean is off by N step / (2 sum_i n_i) at most in each
parameter.

Behind the differences travel two more words: n_i, so that the sum of the factors is known and no single one is; and 1, so that
the sum says how many updates it holds: where masks did not cancel it says something else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fedactors.errors import ModelError
from fedactors.model import DTYPES, Array, Buffer, Layout, Tensor, is_floating
from fedactors.privacy.masking.pieces import ShareOut, in_turn

EXTRA_WORDS = 2
"""Behind the differences: the factor, and 1."""

_BLOCK = 1 << 16
"""Elements worked on at a time."""
_EXACT = 2**52
"""Whole numbers up to this are float64s, and so are those next to them."""

_Piece = tuple[Tensor, int, int, int]


def words_layout(model: Layout, bits: int) -> Layout:
    """What travels in place of a model's weights.

    Raises:
        ModelError: a tensor holds no floating-point numbers; the message names it.
    """
    for tensor in model.tensors:
        if not is_floating(tensor.dtype):
            said = f"tensor {tensor} holds no floating-point numbers, and masking adds fixed-point differences of those"
            raise ModelError(f"{said}: keep it with the learners, by model.local = [{tensor.name!r}]")
    return Layout.from_specs([("words", f"uint{bits}", (model.num_parameters + EXTRA_WORDS,))])


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """How the differences of one round are written.

    Attributes:
        bits: b of a word, 32 or 64.
        clip: c > 0: no parameter's difference counts as more than this.
        factor_max: F >= 1.
        learners: N >= 1 that the round began with; no more updates than that are ever added.
    """

    bits: int
    clip: float
    factor_max: int
    learners: int

    def __post_init__(self) -> None:
        if self.learners * self.factor_max >= 2**self.bits or self.limit < self.factor_max:
            said = (
                f"{self.learners:,} learners with factors up to factor_max = {self.factor_max:,} do not fit into {self.bits} bits"
            )
            raise ModelError(f"{said}: write a smaller factor_max, or bits = 64")

    @property
    def limit(self) -> int:
        """The largest magnitude of one learner's word."""
        largest: int = (1 << self.bits - 1) - 1
        return min(largest // self.learners - 1, _EXACT)  # one less, for what a float64 product is off by

    @property
    def step(self) -> float:
        """What one unit of a word stands for, of a difference times its factor."""
        return self.clip * self.factor_max / self.limit

    def words(self, layout: Layout, weights: Buffer, base: Buffer, factor: int) -> tuple[Array, int]:
        """An update as words.

        Args:
            layout: the model's.
            weights: uint8[layout.nbytes], the learner's new weights.
            base: uint8[layout.nbytes], what it started from.
            factor: n_i.

        Returns:
            uint[num_parameters + 2], and the number of parameters whose difference was clipped.

        Raises:
            ModelError: a weight is not finite, or the factor is not a whole number in 1..factor_max.
        """
        if factor != int(factor) or not 1 <= factor <= self.factor_max:
            said = f"the update's factor is {factor:g}; masking takes whole numbers from 1 to factor_max = {self.factor_max:,}"
            raise ModelError(f"{said}: raise secure.options.factor_max, which costs precision, or weigh by participants")
        words = np.empty(layout.num_parameters + EXTRA_WORDS, f"uint{self.bits}")
        words[-EXTRA_WORDS:] = int(factor), 1
        ours, theirs, clipped = layout.views(weights), layout.views(base), 0
        for tensor, start, end, at in _pieces(layout):
            new, old = (views[tensor.name].reshape(-1)[start:end].astype(np.float64) for views in (ours, theirs))
            difference = np.subtract(new, old, out=new)
            low, high = float(difference.min()), float(difference.max())
            if not (math.isfinite(low) and math.isfinite(high)):
                raise ModelError(f"tensor {tensor.name!r} holds NaN or an infinity, of which there is no fixed-point number")
            if max(high, -low) > self.clip:
                clipped += int(np.count_nonzero(np.abs(difference) > self.clip))
                np.clip(difference, -self.clip, self.clip, out=difference)
            words[at : at + end - start] = self._rounded(difference, factor)
        return words, clipped

    def _rounded(self, difference: Array, factor: int) -> Array:
        difference *= factor / self.step
        np.rint(difference, out=difference)
        return difference.astype(f"int{self.bits}").view(f"uint{self.bits}")

    def mean(self, layout: Layout, total: Array, updates: int, base: Buffer, share_out: ShareOut = in_turn) -> Buffer:
        """The next version's weights, from the sum of the words of so many updates; a new buffer.

        Raises:
            ModelError: it is no such sum.
        """
        factors, counted = (int(word) for word in total[-EXTRA_WORDS:])
        if counted != updates or not 1 <= updates <= factors <= updates * self.factor_max:
            raise ModelError(f"the sum of {updates} masked updates does not add up: the masks of one did not cancel")
        combined = np.zeros(layout.nbytes, np.uint8)
        ours, theirs = layout.views(combined), layout.views(base)

        def work(piece: _Piece) -> None:
            tensor, start, end, at = piece
            mean = total[at : at + end - start].view(f"int{self.bits}").astype(np.float64)
            mean *= self.step / factors
            mean += theirs[tensor.name].reshape(-1)[start:end].astype(np.float64)
            ours[tensor.name].reshape(-1)[start:end] = mean.astype(DTYPES[tensor.dtype])

        share_out(work, list(_pieces(layout)), layout.num_parameters)
        return combined


def _pieces(layout: Layout) -> Iterator[_Piece]:
    """(tensor, first element, end, place of the first among the words): every element once, some at a time."""
    at = 0
    for tensor in layout.tensors:
        for start in range(0, tensor.size, _BLOCK):
            yield tensor, start, min(start + _BLOCK, tensor.size), at + start
        at += tensor.size
