"""The sum of ciphertexts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.aggregation._kernels import blocks, zero_padding
from fedactors.aggregation._scratch import Scratch
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.lanes import share_out
from fedactors.aggregation.roll import Roll
from fedactors.errors import ModelError
from fedactors.model import Array, Buffer, GlobalModel, Layout
from fedactors.privacy.ckks_layout import SealedLayout, read
from fedactors.privacy.ckks_parameters import CkksParameters

BLOCK = 16_384
"""Words that are worked on together: they and a temporary stay in the nearest cache."""


@dataclass(frozen=True, slots=True)
class CkksSum(Rule):
    """The weighted mean of updates that only learners can read.

    C = sum_i C_i mod q,  f = sum_i f_i, with C_i the ciphertexts Enc(f_i w_i) in the `buffer` of contribution i and f_i its
    `factor` over the model's unit. Learners decrypt C and divide by f: this is `FedAvg`, up to the noise of the encryption.

    The configuration's table [secure] puts it in the place of fedavg; nobody names it. Sums are exact, so that they are the same
    bits whatever the order of arrival. Updates are folded as they come, in O(1) models.

    Attributes:
        parameters: of the ciphertexts.
    """

    parameters: CkksParameters
    exact: ClassVar[bool] = True

    @override
    def fold(self, layout: Layout) -> Fold:
        return CkksFold(self.parameters, read(layout))


class CkksFold(Fold):
    """The open round's sum of ciphertexts, reduced whenever its words could overflow, and its factors."""

    def __init__(self, parameters: CkksParameters, sealed: SealedLayout) -> None:
        self._parameters = parameters
        self._sealed = sealed
        self._word = np.dtype(parameters.word)
        self._most = 2 ** (8 * self._word.itemsize) // parameters.modulus
        self._summands = 0
        self._factors: list[float] = []
        self._roll = Roll()
        self._total: Array | None = None
        self._blocks = list(blocks(sealed.ciphertexts * 2 * parameters.degree, BLOCK))
        self._scratch = Scratch(BLOCK * self._word.itemsize)

    @override
    def add(self, contribution: Contribution) -> None:
        if not self._roll.enter(contribution):
            return
        words = self._sealed.words(contribution.buffer).reshape(-1)
        if self._total is None:
            self._total = np.empty_like(words)
        total, begins = self._total, not self._factors
        self._summands = 1 if begins else self._summands + 1
        self._each(lambda at: np.copyto(total[at], words[at]) if begins else np.add(total[at], words[at], out=total[at]))
        if self._summands == self._most:
            self._reduce(total, total)
        self._factors.append(contribution.factor / self._sealed.unit)

    def _reduce(self, total: Array, out: Array) -> None:
        """Write a sum of so many summands below q: of x and x - 2^k q, which wraps around where it is negative, the lesser."""
        exponents = range((self._summands - 1).bit_length() - 1, -1, -1)
        multiples = [self._word.type(self._parameters.modulus << exponent) for exponent in exponents]

        def work(at: slice) -> None:
            with self._scratch.bench() as bench:
                less, rest = bench.array(at.stop - at.start, total.dtype), total[at]
                for multiple in multiples:
                    rest = np.minimum(rest, np.subtract(rest, multiple, out=less), out=out[at])
                if not multiples:
                    np.copyto(out[at], rest)

        self._each(work)
        self._summands = 1

    def _each(self, work: Callable[[slice], object]) -> None:
        share_out(work, self._blocks, len(self._blocks) * BLOCK)

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        factors, self._factors = self._factors, []
        self._roll.close()
        assert self._total is not None, "a round with updates that count has a sum"
        factor = math.fsum(factors)
        self._check(factor)
        out = np.empty(current.layout.nbytes, np.uint8)
        self._reduce(self._total, self._sealed.words(out).reshape(-1))
        self._sealed.factor(out)[0] = factor
        self._sealed.tensors(out)[:] = self._sealed.tensors(current.buffer)
        zero_padding(out, current.layout)
        return out

    def _check(self, factor: float) -> None:
        """Whether what a commit's factors sum to is near enough to what was expected."""
        least, most = self._parameters.factor_min, self._parameters.factor_max
        if not least <= factor <= most:
            said = f"the updates' factors sum to {factor:.3g} times what was expected of a commit, and CKKS takes {least:g} to"
            remedy = "write the mean factor of an update as secure.options.reference"
            raise ModelError(f"{said} {most:g} with preset {self._parameters.name!r}: {remedy}")

    @override
    def abandon(self) -> None:
        self._factors = []
        self._roll.clear()
