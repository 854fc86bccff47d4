"""The clip norm follows the paper's formula, and finds the quantile."""

import math

import numpy as np
import pytest

from fedactors.dp.clipping import Adaptive, default_count_noise
from fedactors.errors import ConfigError

MEDIAN = Adaptive(quantile=0.5, learning_rate=0.2, count_noise=5.0)


def test_the_next_norm_is_the_papers():
    """Algorithm 1: C exp(-eta (b - gamma)), with b = 70/100 unclipped."""
    assert MEDIAN.next_norm(2.0, 0.5 * 70 - 0.5 * 30, 100) == pytest.approx(2.0 * math.exp(-0.2 * (0.7 - 0.5)))


def test_the_sums_noise_is_the_papers():
    """Theorem 1: with s_b = n / 20, n = 100 and z = 1, half a percent more than without a count."""
    assert MEDIAN.sum_multiplier(1.0) == pytest.approx((1.0 - 0.1**2) ** -0.5)
    assert MEDIAN.sum_multiplier(1.0) == pytest.approx(1.005, abs=1e-4)


def test_sum_and_count_together_have_the_noise_that_was_asked_for():
    z_sum, z_count = MEDIAN.sum_multiplier(3.0), 2 * MEDIAN.count_noise
    assert (z_sum**-2 + z_count**-2) ** -0.5 == pytest.approx(3.0)


def test_a_count_with_too_little_noise_is_refused():
    with pytest.raises(ConfigError, match=r"count_noise = 5 is too little for dp.noise_multiplier = 10: give more than 5"):
        MEDIAN.sum_multiplier(10.0)


def test_a_small_cohorts_count_noise_leaves_room():
    assert default_count_noise(1000, 1.0) == 50
    adaptive = Adaptive(0.5, 0.2, default_count_noise(5, 4.0))
    assert adaptive.sum_multiplier(4.0) == pytest.approx(4.0 / math.sqrt(0.75))


@pytest.mark.parametrize("quantile", [0.2, 0.5, 0.9])
def test_the_norm_converges_to_the_quantile(quantile):
    rng, cohort = np.random.default_rng(3), 200
    adaptive, norm, tail = Adaptive(quantile, 0.2, cohort / 20), 0.1, []
    for step in range(400):
        below = np.count_nonzero(rng.lognormal(0.0, 0.5, cohort) <= norm)
        norm = adaptive.next_norm(norm, below - cohort / 2 + rng.normal(0, adaptive.count_noise), cohort)
        tail += [norm] if step >= 200 else []
    truth = np.quantile(np.random.default_rng(4).lognormal(0.0, 0.5, 100_000), quantile)
    assert np.mean(tail) == pytest.approx(truth, rel=0.05)
