"""What every rule owes its federation, and what this one promises."""

import numpy as np
import pytest
from sign_vote import SignVote

from fedactors.aggregation import Contribution
from fedactors.aggregation.median import Median
from fedactors.aggregation.server import ServerStep
from fedactors.errors import ConfigError
from fedactors.model import GlobalModel, Layout
from fedactors.testing import check_rule


def test_rule_conforms():
    check_rule(ServerStep(SignVote(), Median()), equal_updates_are_a_fixed_point=False)


def test_every_weight_follows_the_majority_by_one_step_however_loud_the_others_are():
    x = np.random.default_rng(1).normal(size=100)
    updates = x + np.random.default_rng(2).normal(size=(5, 100))
    updates[4] = x - 1e9 * (updates[0] - x)
    layout = Layout.of({"w": x})
    fold = ServerStep(SignVote(0.125), Median()).fold(layout)
    for index, update in enumerate(updates):
        fold.add(Contribution(f"learner-{index}", layout.pack({"w": update}), 1.0))
    found = layout.views(fold.commit(GlobalModel(0, layout, layout.pack({"w": x}))))["w"]
    votes = np.sign(updates - x).sum(axis=0)
    np.testing.assert_allclose(found, x + 0.125 * np.sign(votes))


def test_a_step_of_no_size_is_refused():
    with pytest.raises(ConfigError, match=r"sign_vote has step_size=0\.0; give a number above 0"):
        SignVote(0.0)
