"""Shamir's secret sharing, against the field's definition, a published example and rational interpolation."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedactors.errors import ModelError
from fedactors.privacy.masking.shamir import PRIME, SECRET_BYTES, SHARE_BYTES, join, split

SECRETS = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)


def rational(points: dict[int, int]) -> int:
    """f(0) of the polynomial through these points, in rational arithmetic, then modulo p."""
    total = Fraction(0)
    for point, value in points.items():
        term = Fraction(value)
        for other in points:
            if other != point:
                term *= Fraction(other, other - point)
        total += term
    return total.numerator * pow(total.denominator, -1, PRIME) % PRIME


def test_the_modulus_is_a_prime_above_every_secret() -> None:
    assert PRIME > 2 ** (8 * SECRET_BYTES)
    odd, twos = PRIME - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):  # Miller and Rabin
        powers = [pow(base, odd << twice, PRIME) for twice in range(twos)]
        assert powers[0] == 1 or PRIME - 1 in powers


@given(secret=SECRETS, threshold=st.integers(1, 6), more=st.integers(0, 4), seed=st.integers())
def test_any_threshold_of_shares_gives_the_secret(secret: bytes, threshold: int, more: int, seed: int) -> None:
    points = range(1, threshold + more + 1)
    shares = dict(zip(points, split(secret, threshold, points, random.Random(seed).randbytes), strict=True))
    assert {len(share) for share in shares.values()} == {SHARE_BYTES}
    for chosen in combinations(points, threshold):
        assert join({point: shares[point] for point in chosen}) == secret
    assert join(shares) == secret, "more than enough do no harm"


@given(secret=SECRETS, points=st.lists(st.integers(1, 10_000), min_size=4, max_size=8, unique=True), seed=st.integers())
def test_joining_is_interpolation(secret: bytes, points: list[int], seed: int) -> None:
    shares = dict(zip(points, split(secret, 4, points, random.Random(seed).randbytes), strict=True))
    values = {point: int.from_bytes(share) for point, share in shares.items()}
    assert rational(values) == int.from_bytes(secret) == int.from_bytes(join(shares))


def test_the_well_known_example_of_six_shares() -> None:
    """1234 by 1234 + 166 x + 94 x^2, as the Encyclopaedia of most courses on the subject has it."""
    coefficients = iter((94, 166))

    def drawn(number: int) -> bytes:
        return next(coefficients).to_bytes(number)

    shares = split((1234).to_bytes(SECRET_BYTES), 3, range(1, 7), drawn)
    assert [int.from_bytes(share) for share in shares] == [1494, 1942, 2578, 3402, 4414, 5614]
    assert int.from_bytes(join({2: shares[1], 4: shares[3], 5: shares[4]})) == 1234


@given(secret=SECRETS, other=SECRETS, seed=st.integers())
def test_too_few_shares_fit_any_secret(secret: bytes, other: bytes, seed: int) -> None:
    """For every other secret there is a last share with which the shares at hand give that one."""
    shares = split(secret, 3, (1, 2, 3), random.Random(seed).randbytes)
    first, second = (int.from_bytes(share) for share in shares[:2])
    third = (int.from_bytes(other) - 3 * first + 3 * second) % PRIME  # f(0) = 3 f(1) - 3 f(2) + f(3)
    assert join({1: shares[0], 2: shares[1], 3: third.to_bytes(SHARE_BYTES)}) == other


def test_shares_that_belong_to_no_secret_are_an_error() -> None:
    with pytest.raises(ModelError, match="2 shares belong to no secret"):
        join({1: (PRIME - 1).to_bytes(SHARE_BYTES), 2: (PRIME - 1).to_bytes(SHARE_BYTES)})
