"""From rounds, noise and sampling to epsilon, and back to the noise.

The accountant is Google's `dp-accounting`, by Renyi differential privacy: a round costs rdp(alpha) at each order alpha, rounds
add up, and

    epsilon(delta) = min over alpha of  rounds rdp(alpha) + ln(1 - 1/alpha) - ln(alpha delta) / (alpha - 1)

Neighbours are two federations with the same learners, of whom one has, or has not, its updates replaced by nothing (zero-out; in
the library, REPLACE_SPECIAL): one learner as a whole is what is protected. Noise multipliers are standard deviations over what
one learner can change, the clip norm.

Sources: Mironov, Renyi Differential Privacy, CSF 2017, arXiv:1702.07476. Canonne, Kamath, Steinke, The Discrete Gaussian for
Differential Privacy, NeurIPS 2020, Proposition 12, arXiv:2004.00010. Wang, Balle, Kasiviswanathan, Subsampled Renyi Differential
Privacy and Analytical Moments Accountant, AISTATS 2019, Theorem 27, arXiv:1808.00087.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, assert_never

import numpy as np

from fedactors.errors import ConfigError, ExtraMissing
from fedactors.model import Array

PLAIN_ORDERS = (*(1 + tenth / 10 for tenth in range(1, 100)), *range(11, 65), 128, 256, 512, 1024)
"""Where everybody takes part: the library's own, each of which costs nothing."""
SAMPLED_ORDERS = (*range(2, 33), 40, 48, 64, 96, 128)
"""Where a part is drawn: whole numbers, for which the bounds are exact sums, of as many terms."""

MULTIPLIER_MIN, MULTIPLIER_MAX = 1e-2, 1e6
"""Between which the noise for a budget is looked for."""
MULTIPLIER_STEP = 1.001
"""It is at most this much more than needed."""


@dataclass(frozen=True, slots=True)
class Poisson:
    """Each learner takes part by a coin of its own.

    Attributes:
        rate: the coin's, in (0, 1].
    """

    rate: float


@dataclass(frozen=True, slots=True)
class WithoutReplacement:
    """So many learners are drawn of so many, all sets alike.

    Known bounds compare with a learner that is *replaced* by another, who changes a sum by twice the clip norm; they hold where
    it is replaced by nothing, too. Where little is gained, the plain bound may be the smaller one; then that counts.

    Attributes:
        rate: the greatest share that is ever drawn, in (0, 1].
    """

    rate: float


Sampling: TypeAlias = Poisson | WithoutReplacement | None
"""How a round's learners are drawn, in secret; None: nothing is gained by it."""


def epsilon(rounds: int, noise_multiplier: float, delta: float, sampling: Sampling = None) -> float:
    """What so many rounds have spent, >= 0.

    Args:
        rounds: that released something, >= 0.
        noise_multiplier: > 0, of each.
        delta: in (0, 1).
        sampling: of each.

    Raises:
        ExtraMissing: dp-accounting is not installed.
    """
    if rounds == 0:
        return 0.0
    return min(_spent(rounds, noise_multiplier, delta, drawn) for drawn in {sampling, None})


def _spent(rounds: int, noise_multiplier: float, delta: float, sampling: Sampling) -> float:
    orders, costs = _round_costs(noise_multiplier, sampling)
    return float(_library().rdp.compute_epsilon(orders, rounds * costs, delta)[0])


@lru_cache(maxsize=64)
def noise_for(target: float, rounds: int, delta: float, sampling: Sampling = None) -> float:
    """The least noise multiplier, to four digits and rounded up, with which so many rounds spend at most `target`.

    Raises:
        ConfigError: none is great enough.
        ExtraMissing: dp-accounting is not installed.
    """
    low, high = MULTIPLIER_MIN, MULTIPLIER_MAX
    if epsilon(rounds, high, delta, sampling) > target:
        raise ConfigError(
            f"no noise keeps {rounds} rounds within epsilon {target:g} at delta {delta:g}; allow for a greater epsilon"
        )
    while high / low > MULTIPLIER_STEP:
        middle = math.sqrt(low * high)
        if epsilon(rounds, middle, delta, sampling) > target:
            low = middle
        else:
            high = middle
    return _rounded_up(high)


def rounds_for(target: float, noise_multiplier: float, delta: float, sampling: Sampling = None, *, most: int) -> int:
    """How many rounds, `most` at most, spend no more than `target`."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        if epsilon(middle, noise_multiplier, delta, sampling) > target:
            high = middle
        else:
            low = middle
    return low


def _rounded_up(value: float) -> float:
    digit = 10.0 ** (math.floor(math.log10(value)) - 3)
    return round(math.ceil(value / digit) * digit, 12)


@lru_cache(maxsize=256)
def _round_costs(noise_multiplier: float, sampling: Sampling) -> tuple[tuple[float, ...], Array]:
    """The orders, and what one round costs at each."""
    match sampling:
        case None:
            return PLAIN_ORDERS, _rdp(PLAIN_ORDERS, noise_multiplier, None)
        case Poisson():
            return SAMPLED_ORDERS, _rdp(SAMPLED_ORDERS, noise_multiplier, sampling)
        case WithoutReplacement():
            return SAMPLED_ORDERS, _rdp(SAMPLED_ORDERS, noise_multiplier / 2, sampling)
        case unknown:
            assert_never(unknown)


def _rdp(orders: tuple[float, ...], noise_multiplier: float, sampling: Sampling) -> Array:
    library = _library()
    event, neighbours = library.GaussianDpEvent(noise_multiplier), library.NeighboringRelation.REPLACE_SPECIAL
    match sampling:
        case Poisson(rate):
            event = library.PoissonSampledDpEvent(rate, event)
        case WithoutReplacement(rate):
            event = library.SampledWithoutReplacementDpEvent(1, rate, event)
            neighbours = library.NeighboringRelation.REPLACE_ONE
        case None:
            pass
    return np.asarray(library.rdp.RdpAccountant(orders, neighbours).compose(event).rdp)


def _library() -> Any:
    """It takes a second or two to import."""
    try:
        import dp_accounting
        import dp_accounting.rdp
    except ImportError:
        raise ExtraMissing("the accountant of differential privacy", "dp-accounting", "dp") from None
    return dp_accounting
