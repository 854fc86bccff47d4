"""Gaussian noise from a secure generator.

The bytes are the keystream of AES-256 in counter mode under a key that is drawn from the operating system for each release
and forgotten after it: who sees a part of the noise learns nothing of the rest, which no statistical generator promises. Pairs
of 64-bit integers become points of the square [-1, 1)^2; those within the unit circle become pairs of normals by the polar
method, in float64:

    s = u^2 + v^2 < 1;    (u, v) sqrt(-2 ln(s) / s)

Source: Marsaglia and Bray, A Convenient Method for Generating Normal Variables, SIAM Review 6(3), 1964, doi:10.1137/1006063.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from fedactors.errors import ExtraMissing
from fedactors.model import Array

KEY_BYTES = 32
STRETCHES_MAX = 2**40
"""Stretches of one release, and 2^88 blocks of keystream in each: none is ever used twice."""
POINTS = 80_000
"""That are turned into normals at a time: a MiB, which stays in cache."""
ACCEPTED = 0.78
"""A little less than pi / 4, the share of points that lie within the circle."""
GRID_BITS = 20
"""Noise is released in steps of its standard deviation, rounded down to a power of two, times 2^-GRID_BITS."""


class Gaussian:
    """The noise of one release, in stretches that may be drawn in any order and by several threads at once."""

    def __init__(self, key: bytes) -> None:
        """From a key, of which no other release may know anything.

        Raises:
            ExtraMissing: the package cryptography is not installed.
        """
        assert len(key) == KEY_BYTES
        self._ciphers = _ciphers()
        self._key = key

    def fill(self, out: Array, stretch: int) -> None:
        """Fill float64[n] with standard normals: always the same of one stretch, in [0, STRETCHES_MAX)."""
        assert 0 <= stretch < STRETCHES_MAX
        keystream, filled = self._keystream(stretch), 0
        while filled < out.size:
            missing = out.size - filled
            points = min(int(missing / (2 * ACCEPTED)) + 32, POINTS)
            drawn = keystream(bytes(16 * points))
            normals = _polar(np.frombuffer(drawn, np.int64).reshape(2, points))[:missing]
            out[filled : filled + normals.size] = normals
            filled += normals.size

    def _keystream(self, stretch: int) -> Callable[[bytes], bytes]:
        """Encrypts; of zeros, what comes out is the keystream. The counter's upper 40 bits are the stretch."""
        ciphers = self._ciphers
        counter = ciphers.modes.CTR(stretch.to_bytes(5, "big") + bytes(11))
        encrypt: Callable[[bytes], bytes] = ciphers.Cipher(ciphers.algorithms.AES256(self._key), counter).encryptor().update
        return encrypt


def _ciphers() -> Any:
    try:
        from cryptography.hazmat.primitives import ciphers
    except ImportError:
        raise ExtraMissing("noise for differential privacy", "cryptography", "dp") from None
    return ciphers


def _polar(words: Array) -> Array:
    """Standard normals, independent, one for each coordinate of a point within the circle."""
    points = words * 2.0**-63
    squares = np.einsum("ij,ij->j", points, points)
    inside = np.flatnonzero((squares > 0) & (squares < 1))
    squares = squares[inside]
    stretched = points[:, inside] * np.sqrt(-2 * np.log(squares) / squares)
    return np.asarray(stretched.reshape(-1))


def grid(deviation: float) -> float:
    """The step, a power of two, to whose multiples a release with noise of this standard deviation is rounded.

    Sums of floating-point numbers carry traces of their terms in their last bits (Mironov, On Significance of the Least
    Significant Bits for Differential Privacy, CCS 2012, doi:10.1145/2382196.2382264). On a grid that is the same whatever the
    terms are, and coarse beside float64, those bits are gone: each of its points stands for millions of sums.
    """
    return float(2.0 ** (np.floor(np.log2(deviation)) - GRID_BITS))


class Noise(ABC):
    """Where noise comes from."""

    @abstractmethod
    def release(self, number: int) -> Gaussian:
        """Noise for a release; `number` is its own among the federation's."""


@dataclass(frozen=True, slots=True)
class SecureNoise(Noise):
    """A new key from the operating system for each release, also for one that is tried again: noise is never used twice."""

    @override
    def release(self, number: int) -> Gaussian:
        return Gaussian(os.urandom(KEY_BYTES))


SECURE = SecureNoise()


@dataclass(frozen=True, slots=True)
class SeededNoise(Noise):
    """Noise that anybody who knows the seed can take away again: for tests, and no protection.

    Attributes:
        seed: any text.
    """

    seed: str

    @override
    def release(self, number: int) -> Gaussian:
        return Gaussian(hashlib.sha256(f"{self.seed}:{number}".encode()).digest())
