"""Epsilon is the accountant library's, that of published settings, and near what is exact."""

import math
import sys

import dp_accounting
import numpy as np
import pytest
from dp_accounting.rdp import RdpAccountant
from scipy import optimize, stats

from fedactors.dp.accountant import Poisson, WithoutReplacement, _round_costs, epsilon, noise_for, rounds_for
from fedactors.dp.noise import SECURE
from fedactors.errors import ConfigError, ExtraMissing

DELTA = 1e-5


@pytest.mark.parametrize(("rounds", "multiplier"), [(1, 0.5), (10, 1.0), (100, 1.1), (1000, 8.0)])
def test_epsilon_is_the_librarys(rounds, multiplier):
    accountant = RdpAccountant().compose(dp_accounting.GaussianDpEvent(multiplier), rounds)
    assert epsilon(rounds, multiplier, DELTA) == pytest.approx(accountant.get_epsilon(DELTA), rel=1e-12)


def test_epsilon_of_a_poisson_sample_is_the_librarys():
    event = dp_accounting.PoissonSampledDpEvent(0.01, dp_accounting.GaussianDpEvent(1.0))
    accountant = RdpAccountant(orders=range(2, 65)).compose(event, 1000)
    assert epsilon(1000, 1.0, DELTA, Poisson(0.01)) == pytest.approx(accountant.get_epsilon(DELTA), rel=1e-3)


@pytest.mark.parametrize(("multiplier", "epochs", "published"), [(1.12, 60, 2.92), (0.6, 30, 9.74), (1.2, 10, 1.20)])
def test_published_settings_give_the_published_epsilon(multiplier, epochs, published):
    """github.com/tensorflow/privacy, tutorials/README.md, "Select Parameters": MNIST, 256 of 60,000 examples, delta 1e-5.

    They were converted by Mironov, CSF 2017, Proposition 3; today's conversion of the same RDP is tighter.
    """
    steps, sampling = epochs * 60_000 // 256, Poisson(256 / 60_000)
    orders, costs = _round_costs(multiplier, sampling)
    converted = min(steps * cost + math.log(1 / DELTA) / (order - 1) for order, cost in zip(orders, costs, strict=True))
    assert converted == pytest.approx(published, rel=0.005)
    assert 0.75 * published < epsilon(steps, multiplier, DELTA, sampling) < published


@pytest.mark.parametrize(("rounds", "multiplier"), [(1, 1.0), (100, 10.0), (1000, 20.0), (50, 3.0)])
def test_epsilon_bounds_the_exact_one_closely(rounds, multiplier):
    """Many rounds are one Gaussian mechanism: Balle and Wang, ICML 2018, Theorem 8, arXiv:1805.06530."""
    sigma = multiplier / math.sqrt(rounds)

    def excess(eps: float) -> float:
        near, far = stats.norm.cdf(0.5 / sigma - eps * sigma), stats.norm.cdf(-0.5 / sigma - eps * sigma)
        return float(near - math.exp(eps) * far - DELTA)

    exact = optimize.brentq(excess, 1e-6, 200)
    assert exact <= epsilon(rounds, multiplier, DELTA) <= 1.12 * exact


@pytest.mark.parametrize("multiplier", [1.0, 4.0])
def test_a_draw_without_replacement_gains_less_than_a_coin_each_and_never_costs_more_than_no_draw(multiplier):
    coin, draw, nothing = (
        epsilon(100, multiplier, DELTA, sampling) for sampling in (Poisson(0.1), WithoutReplacement(0.1), None)
    )
    assert coin < draw < nothing
    assert epsilon(100, multiplier, DELTA, WithoutReplacement(1.0)) == pytest.approx(nothing, rel=0.01)


def test_a_draw_without_replacement_is_the_librarys_at_half_the_noise():
    """The library's neighbours differ by a replaced learner, who moves a sum by twice the clip norm."""
    event = dp_accounting.SampledWithoutReplacementDpEvent(100, 1, dp_accounting.GaussianDpEvent(2.0))
    accountant = RdpAccountant(range(2, 33), dp_accounting.NeighboringRelation.REPLACE_ONE).compose(event, 100)
    assert epsilon(100, 4.0, DELTA, WithoutReplacement(0.01)) == pytest.approx(accountant.get_epsilon(DELTA), rel=0.01)


def test_nothing_released_is_nothing_spent():
    assert epsilon(0, 1.0, DELTA) == 0.0


@pytest.mark.parametrize(("target", "rounds"), [(8.0, 100), (0.5, 10), (3.0, 1)])
def test_noise_for_a_budget_spends_it_and_no_more(target, rounds):
    multiplier = noise_for(target, rounds, DELTA)
    assert target * 0.997 < epsilon(rounds, multiplier, DELTA) <= target
    assert rounds_for(target, multiplier, DELTA, most=10 * rounds) == rounds
    assert multiplier == float(f"{multiplier:.4g}")


def test_noise_for_a_sampled_budget_is_less():
    assert noise_for(8.0, 100, DELTA, Poisson(0.1)) < noise_for(8.0, 100, DELTA) / 5


def test_a_budget_that_no_noise_keeps_is_refused():
    with pytest.raises(ConfigError, match="no noise keeps 100 rounds within epsilon 1e-08"):
        noise_for(1e-8, 100, 1e-18)


def test_costs_are_those_of_whole_orders():
    orders, costs = _round_costs(2.0, None)
    assert np.allclose(costs, np.array(orders) / 8)


@pytest.mark.parametrize(
    ("package", "use"),
    [("dp_accounting", lambda: epsilon(1, 1.2345, DELTA)), ("cryptography.hazmat.primitives", lambda: SECURE.release(1))],
)
def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch, package, use):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExtraMissing, match=r"pip install 'fedactors\[dp\]'"):
        use()
