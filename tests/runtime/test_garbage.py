"""The garbage collector of a process that is tuned."""

from __future__ import annotations

import gc

import pytest

from fedactors.runtime.garbage import THRESHOLDS, collect_seldom


@pytest.fixture
def as_before():
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("as_before")
def test_what_was_imported_is_left_alone_and_new_cycles_still_go():
    collect_seldom()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() > 1_000
    cycle = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1
