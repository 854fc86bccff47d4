"""A few of the kills that `nox -s chaos` does a hundred of."""

import pytest

from tests.e2e import chaos

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


async def test_a_controller_that_is_killed_loses_nothing_counts_nothing_twice_and_keeps_what_its_rule_kept():
    await chaos.run_trials(1, seed=5, victims=["controller"], rule="fedrec")


async def test_nor_does_a_model_store_or_a_learner_that_is_killed():
    await chaos.run_trials(1, seed=0, victims=["learner", "redis"])
