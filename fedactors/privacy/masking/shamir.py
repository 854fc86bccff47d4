"""Shamir's secret sharing of 32-byte secrets: any t shares give the secret back, fewer say nothing of it. Pure.

    f(x) = secret + a_1 x + ... + a_{t-1} x^{t-1}  mod p,   a_i uniform;   the share at point x is f(x)
    secret = f(0) = sum_i f(x_i) prod_{j != i} x_j / (x_j - x_i)  mod p

p = 2^256 + 297, the first prime above all secrets. The arithmetic does not take constant time: a share is computed by the one
whose secret it is, and a secret is put together by the one who may know it.

Source: Shamir, How to Share a Secret, Communications of the ACM 22(11), 1979, doi:10.1145/359168.359176.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from fedactors.errors import ModelError

PRIME = 2**256 + 297
SECRET_BYTES = 32
SHARE_BYTES = 33

_UNIFORM_BYTES = 48
"""Of randomness for one coefficient: what is left of 384 bits modulo p is uniform to within 2^-127."""


def split(secret: bytes, threshold: int, points: Sequence[int], random: Callable[[int], bytes]) -> list[bytes]:
    """A share for each point, in their order.

    Args:
        secret: 32 bytes.
        threshold: t, shares that are needed; 1 to len(points).
        points: distinct integers >= 1.
        random: gives so many bytes of a cryptographic generator.
    """
    assert len(secret) == SECRET_BYTES
    assert 1 <= threshold <= len(points)
    assert len(set(points)) == len(points)
    assert min(points) >= 1, "the share at 0 is the secret"
    drawn = [int.from_bytes(random(_UNIFORM_BYTES)) % PRIME for _ in range(threshold - 1)]
    coefficients = [*drawn, int.from_bytes(secret)]
    return [_value(coefficients, point).to_bytes(SHARE_BYTES) for point in points]


def join(shares: Mapping[int, bytes]) -> bytes:
    """The secret of these shares, by their points; of fewer than t, or of changed ones, something else or an error.

    Raises:
        ModelError: they are no shares of one secret.
    """
    secret = sum(weight * int.from_bytes(shares[point]) for point, weight in _weights(tuple(sorted(shares))).items()) % PRIME
    if secret >> 8 * SECRET_BYTES:
        raise ModelError(f"{len(shares)} shares belong to no secret: one was changed, or they are too few")
    return secret.to_bytes(SECRET_BYTES)


def _value(coefficients: Sequence[int], point: int) -> int:
    """f(point) by Horner's rule; the highest coefficient comes first."""
    value = 0
    for coefficient in coefficients:
        value = (value * point + coefficient) % PRIME
    return value


@lru_cache(maxsize=1024)
def _weights(points: tuple[int, ...]) -> dict[int, int]:
    """What each point's share counts in f(0). A round asks for the same points again and again."""
    weights = {}
    for point in points:
        above = below = 1
        for other in points:
            if other != point:
                above = above * other % PRIME
                below = below * (other - point) % PRIME
        weights[point] = above * pow(below, -1, PRIME) % PRIME
    return weights
