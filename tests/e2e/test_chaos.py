"""One of the trials that `nox -s chaos` does by the hundred."""

import pytest

from tests.e2e import chaos


@pytest.mark.e2e
@pytest.mark.timeout(240)
async def test_whoever_is_killed_nothing_is_lost_counted_twice_or_forgotten_by_the_rule():
    await chaos.run_trials(1, seed=5, victims=["controller", "learner", "redis"], rule="fedrec")
