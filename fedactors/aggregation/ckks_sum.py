"""The sum of ciphertexts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.aggregation._kernels import zero_padding
from fedactors.aggregation._residues import Residues, ResidueSum
from fedactors.aggregation._scratch import new_version
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.roll import Roll
from fedactors.errors import ModelError
from fedactors.model import Array, Buffer, GlobalModel, Layout
from fedactors.privacy.ckks_layout import SealedLayout, read
from fedactors.privacy.ckks_parameters import CkksParameters

HELD_MAX = 4
"""Updates that are added together: the sum is read and written once for all of them. The memory of as many models, less one."""


@dataclass(frozen=True, slots=True)
class CkksSum(Rule):
    """The weighted mean of updates that only learners can read.

    C = sum_i C_i mod q,  f = sum_i f_i, with C_i the ciphertexts Enc(f_i w_i) in the `buffer` of contribution i and f_i its
    `factor` over the model's unit. Learners decrypt C and divide by f: this is `FedAvg`, up to the noise of the encryption.

    The configuration's table [secure] puts it in the place of fedavg; nobody names it. Sums are exact, so that they are the same
    bits whatever the order of arrival. Updates are folded as they come, in O(1) models: the sum, and up to three updates that
    wait for a fourth, since adding four at once takes half the time.

    Attributes:
        parameters: of the ciphertexts.
    """

    parameters: CkksParameters
    exact: ClassVar[bool] = True

    @override
    def fold(self, layout: Layout) -> Fold:
        return CkksFold(self.parameters, read(layout))


class CkksFold(Fold):
    """The open round's sum of ciphertexts, its factors, and up to `HELD_MAX` - 1 updates that wait to be added together."""

    def __init__(self, parameters: CkksParameters, sealed: SealedLayout) -> None:
        self._parameters = parameters
        self._sealed = sealed
        self._factors: list[float] = []
        self._roll = Roll()
        self._held: list[Buffer] = []
        words = sealed.ciphertexts * 2 * parameters.degree
        self._sum = ResidueSum(Residues.below(parameters.modulus, parameters.word), words)

    @override
    def add(self, contribution: Contribution) -> None:
        if not self._roll.enter(contribution):
            return
        self._factors.append(contribution.factor / self._sealed.unit)
        self._held.append(contribution.buffer)
        if len(self._held) == HELD_MAX:
            self._sum.add(self._rows())

    @override
    def holds(self, buffer: Buffer) -> bool:
        return any(buffer is held for held in self._held)

    def _rows(self) -> list[Array]:
        """The words of the updates that wait, which wait no longer."""
        held, self._held = self._held, []
        return [self._sealed.words(buffer).reshape(-1) for buffer in held]

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        factors, self._factors, rows = self._factors, [], self._rows()
        try:
            self._roll.close()
            factor = math.fsum(factors)
            self._check(factor)
            out = new_version(current.layout.nbytes)
            self._sum.take(rows, self._sealed.words(out).reshape(-1))
        finally:
            self._sum.clear()
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
        self._factors, self._held = [], []
        self._roll.clear()
        self._sum.clear()
