"""Every registered protocol conforms, whatever happens to it: joins, departures, losses, failures, strangers, deadlines."""

import pytest
from hypothesis import settings

from fedactors import plugins
from fedactors.testing.conformance_scheduler import check_scheduler

GROUP = "fedactors.scheduling"


@pytest.mark.parametrize("name", plugins.names(GROUP))
def test_protocol_conforms_with_its_defaults(name):
    check_scheduler(plugins.build(GROUP, name, {}), examples=3 * settings().max_examples, steps=40)
