"""A budget is spent by rounds, and the round that would exceed it is not begun."""

import pytest

from fedactors.dp.accountant import epsilon
from fedactors.dp.budget import PrivacyBudget


def test_spending_follows_from_the_rounds():
    assert PrivacyBudget(2.0, 1e-5).epsilon(7) == epsilon(7, 2.0, 1e-5)


def test_without_a_limit_nothing_is_exhausted():
    assert PrivacyBudget(2.0, 1e-5).exhausted_after(10**6) is None


def test_the_last_round_is_the_one_before_the_limit_would_be_exceeded():
    budget = PrivacyBudget(2.0, 1e-5, epsilon_max=4.0)
    last = next(rounds for rounds in range(100) if budget.exhausted_after(rounds))
    assert budget.epsilon(last) <= 4.0 < budget.epsilon(last + 1)
    assert budget.exhausted_after(last) == (
        f"privacy budget: epsilon is {budget.epsilon(last):.4g} after {last} rounds, and {budget.epsilon(last + 1):.4g} with "
        "another one; the limit is 4 at delta 1e-05"
    )


@pytest.mark.parametrize(("rounds", "said"), [(1, "1 round,"), (2, "2 rounds,")])
def test_one_round_is_one(rounds, said):
    why = PrivacyBudget(1.0, 1e-5, epsilon_max=0.1).exhausted_after(rounds)
    assert why is not None
    assert said in why
