"""What holds for every registered rule."""

import pytest

from fedactors import plugins
from fedactors.testing.conformance_rule import check_rule

GROUP = "fedactors.aggregation"
NO_FIXED_POINT = {"fedadagrad", "fedadam", "fedasync", "fednova", "fedyogi"}
"""Rules that go only a part of the way to what all updates agree on, or beyond."""


@pytest.mark.parametrize("name", plugins.names(GROUP))
def test_rule_conforms(name):
    check_rule(plugins.build(GROUP, name, {}), equal_updates_are_a_fixed_point=name not in NO_FIXED_POINT)
