"""A few of the kills that `nox -s chaos` does a hundred of."""

import pytest

from tests.e2e import chaos

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


async def test_a_controller_that_is_killed_loses_nothing_and_counts_nothing_twice():
    await chaos.run_trials(1, seed=3, victims=["controller"])


async def test_nor_does_a_model_store_or_a_learner_that_is_killed():
    await chaos.run_trials(1, seed=0, victims=["learner", "redis"])


@pytest.mark.parametrize("rule", ["fedrec"])
async def test_nor_does_a_rule_lose_what_it_keeps_from_round_to_round(rule):
    await chaos.run_trials(1, seed=5, victims=["controller"], rule=rule)
