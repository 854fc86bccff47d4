"""Staleness discounts."""

import itertools

import pytest

from fedactors.aggregation.discount import DISCOUNTS, Constant, Hinge, Polynomial
from fedactors.errors import ConfigError


@pytest.mark.parametrize(
    ("discount", "factors"),
    [
        (Constant(), [1, 1, 1, 1]),
        (Polynomial(0.5), [1, 2**-0.5, 3**-0.5, 4**-0.5]),
        (Polynomial(0.0), [1, 1, 1, 1]),
        (Hinge(2.0, 1.0), [1, 1, 1 / 3, 1 / 5]),
        (Hinge(10.0, 0.0), [1, 1 / 11, 1 / 21, 1 / 31]),
    ],
)
def test_discount_is_the_papers_function_of_staleness(discount, factors):
    assert [discount.factor(staleness) for staleness in range(4)] == pytest.approx(factors)


@pytest.mark.parametrize("name", DISCOUNTS)
def test_discount_is_1_for_a_fresh_update_and_stays_above_0(name):
    discount = DISCOUNTS[name]()
    factors = [discount.factor(staleness) for staleness in range(10_000)]
    assert factors[0] == 1.0
    assert all(0 < later <= earlier for earlier, later in itertools.pairwise(factors))


@pytest.mark.parametrize(("make", "said"), [(lambda: Polynomial(-1.0), "'polynomial' has a=-1"), (lambda: Hinge(b=-1.0), "b=-1")])
def test_discount_that_would_favour_stale_updates_is_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
