"""Sealed updates as they come in: what a controller can see of them without a key, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from fedactors.errors import ModelError
from fedactors.form import Identity
from fedactors.model import Buffer, Layout
from fedactors.privacy.ckks_layout import read
from fedactors.privacy.ckks_parameters import CkksParameters

BLOCK = 131_072
"""Coefficients that are looked at together: they stay in cache."""


@dataclass(frozen=True, slots=True)
class Sealed(Identity):
    """Ciphertext as it is: nothing is packed or unpacked, and nothing is taken that is no ciphertext.

    Attributes:
        parameters: of the ciphertexts.
    """

    parameters: CkksParameters

    @override
    def problem(self, packed: Buffer, model: Layout) -> str | None:
        try:
            found = read(model)
        except ModelError as error:
            return str(error)
        words, factor = found.words(packed).reshape(-1), float(found.factor(packed)[0])
        if not 0 <= factor <= self.parameters.factor_max:
            return f"its factor is {factor:g}; a sealed update has one from 0 to {self.parameters.factor_max:g}"
        modulus = words.dtype.type(self.parameters.modulus)
        for start in range(0, words.size, BLOCK):
            if (words[start : start + BLOCK] >= modulus).any():
                return f"a coefficient of its ciphertexts is not below the modulus, {self.parameters.modulus}"
        return None

    @override
    def first_not_finite(self, packed: Buffer, model: Layout) -> str | None:
        return None
