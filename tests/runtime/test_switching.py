"""Threads let the event loop have the interpreter soon."""

import sys

import pytest

from fedactors.runtime.switching import SWITCH_INTERVAL_S, take_short_turns


@pytest.mark.parametrize(("before_s", "after_s"), [(0.005, SWITCH_INTERVAL_S), (0.0005, 0.0005)])
def test_turns_become_short_and_never_longer(before_s, after_s):
    found_s = sys.getswitchinterval()
    try:
        sys.setswitchinterval(before_s)
        take_short_turns()
        assert sys.getswitchinterval() == pytest.approx(after_s)
    finally:
        sys.setswitchinterval(found_s)
