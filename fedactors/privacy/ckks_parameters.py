"""CKKS parameters by name, and what makes them secure and exact enough.

    name      degree   modulus    bytes of a parameter   error of a mean of K updates   values up to
    precise    4,096   60 bits    16                     2e-9 sqrt(K)                   32,768
    fast       2,048   31 bits     8                     6e-6 sqrt(K)                        8

A ciphertext is two polynomials of `degree` coefficients modulo one prime q, and carries `degree` values: two in each of its
degree / 2 complex slots. With one prime nothing can be multiplied; nothing has to be.

    |sum_i f_i w_i| <= factor_max weight_max;  the coefficients of its encoding are at most sqrt(2) scale times that;  below q / 2

The error is the encryption's noise: sigma sqrt(degree / 2) / scale in each value of each ciphertext, sigma = 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fedactors.errors import ConfigError

Preset: TypeAlias = Literal["precise", "fast"]

MODULUS_BITS_MAX: Mapping[int, int] = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
"""The most bits of a modulus at which a ternary secret of so many coefficients is 128-bit secure against classical attacks.

Source: Albrecht et al., Homomorphic Encryption Standard, HomomorphicEncryption.org, 2018, table 1, eprint 2019/939.
"""

PRIME_BITS_MAX = 60
"""Of one prime in SEAL."""

NOISE = 3.2
"""Standard deviation of a fresh ciphertext's noise, in SEAL as in the standard."""


@dataclass(frozen=True, slots=True)
class CkksParameters:
    """One set of parameters. ConfigError unless it is 128-bit secure and its range is consistent.

    Attributes:
        name: of the set.
        degree: of the polynomials, a power of two; values in one ciphertext.
        modulus: q, a prime that is 1 modulo 2 degree.
        scale_bits: log2 of the scale.
        weight_max: the greatest |value| of a model.
        factor_max: the greatest sum of factors, 1 being what is expected.
        factor_min: the least sum of factors that keeps the error tolerable.
    """

    name: str
    degree: int
    modulus: int
    scale_bits: int
    weight_max: float
    factor_max: float
    factor_min: float

    def __post_init__(self) -> None:
        bits, allowed = self.modulus.bit_length(), MODULUS_BITS_MAX.get(self.degree, 0)
        if bits > allowed:
            said = f"CKKS with degree {self.degree} and a modulus of {bits} bits is not 128-bit secure"
            raise ConfigError(f"{said}; the standard allows {allowed} bits: use the preset 'precise' or 'fast'")
        if bits > PRIME_BITS_MAX or self.modulus % (2 * self.degree) != 1:
            raise ConfigError(f"CKKS modulus {self.modulus} is no prime of at most {PRIME_BITS_MAX} bits for {self.degree}")
        if 2 * math.sqrt(2) * self.scale * self.weight_max * self.factor_max > self.modulus:
            raise ConfigError(f"CKKS parameters {self.name!r} have no room for {self.weight_max:g} x {self.factor_max:g}")

    @property
    def scale(self) -> float:
        """What values are multiplied by before they are rounded."""
        return float(2**self.scale_bits)

    @property
    def word(self) -> str:
        """The dtype that a coefficient travels in: two of them add up without overflow."""
        return "uint32" if self.modulus < 2**31 else "uint64"

    @property
    def bytes_per_value(self) -> int:
        """Of ciphertext."""
        return 2 * (4 if self.word == "uint32" else 8)

    def error(self, updates: int, factor: float = 1.0) -> float:
        """Standard deviation of what a combined value is off by, for so many updates whose factors have this sum."""
        return NOISE * math.sqrt(self.degree / 2 * updates) / (self.scale * factor)


PRESETS: Mapping[str, CkksParameters] = {
    "precise": CkksParameters("precise", 4096, 1152921504606830593, 36, 32768.0, 128.0, 2.0**-8),
    "fast": CkksParameters("fast", 2048, 2147389441, 24, 8.0, 4.0, 2.0**-4),
}
