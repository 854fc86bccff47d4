"""The model of large federations: its arithmetic against sums done otherwise, and its tables and command in docs/scale.md.

That command, `--smoke`, is run by test_benchmarks.py, as that of every benchmark.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.docs.test_code_blocks import ROOT

sys.path.append(str(ROOT / "benchmarks"))

import scale
from scale_model import Costs, Federation, Point, fit, heights, plan, slowest_s

COSTS = Costs(0.01, 0.002, 1e-8, 0.001, 0.0003, 1e8, 5e4, 0.5, 12.0)


def test_what_a_round_costs_is_found_again():
    sizes = [(10, 100_000), (50, 100_000), (10, 1_000_000), (50, 1_000_000)]
    assert fit([Point(n, p, COSTS.cpu_s(n, p)) for n, p in sizes]) == pytest.approx((0.01, 0.002, 1e-8))


def test_no_cost_is_fitted_below_nothing():
    assert min(fit([Point(1, 1_000, 1.0), Point(10, 1_000, 0.9), Point(10, 10_000, 5.0)])) >= 0


@pytest.mark.parametrize("learners", [1, 10, 1_000])
def test_the_slowest_of_many_is_that_of_as_many_draws(learners):
    drawn = 60 * np.exp(0.25 * np.random.default_rng(1).standard_normal((2_000, learners))).max(axis=1)
    assert slowest_s(learners, 60.0, 0.25) == pytest.approx(drawn.mean(), rel=0.02)


@given(st.integers(1, 10**9), st.integers(1, 20_000), st.integers(2, 1_000))
def test_every_node_has_a_parent_that_has_room_for_it(learners, leaf_children, fan_in):
    counts = heights(learners, leaf_children, fan_in)
    assert counts[0] == 1
    assert counts[-1] * leaf_children >= learners
    assert all(below <= fan_in * above for above, below in pairwise(counts))


def test_a_controller_alone_is_a_tree_of_one_level():
    planned = plan(Federation(1_000, 0.1, 1_000_000), COSTS)
    assert [level.nodes for level in planned.levels] == [1]
    assert planned.root.cpu_s == pytest.approx(0.01 + 100 * (0.002 + 0.01))
    assert planned.root.idle_cpu == pytest.approx(1_000 * 0.0003 / 60)


def test_a_tree_s_controller_pays_for_its_relays_alone():
    planned = plan(Federation(1_000_000, 0.01, 1_000_000), COSTS)
    assert [level.nodes for level in planned.levels] == [1, 100]
    assert planned.root.cpu_s == pytest.approx(0.01 + 100 * 0.012)
    assert planned.levels[1].children == pytest.approx(100)
    assert planned.root.sent_bytes == 100 * 4_000_000
    assert planned.round_s == pytest.approx(planned.training_s + 2 * planned.root.serving_s)


def test_memory_is_that_of_chunks_once_a_model_is_larger():
    assert COSTS.held_bytes(100, 10, 1_000) == pytest.approx(1e8 + 100 * 5e4 + 10 * 0.5 * 4_000 + 12 * 4_000)
    assert COSTS.held_bytes(100, 10, 1_000_000) == pytest.approx(1e8 + 100 * 5e4 + 10 * 0.5 * 2**20 + 12 * 4e6)


def test_the_page_has_the_tables_of_the_figures_that_are_kept():
    page = scale.PAGE.read_text(encoding="utf-8")
    assert page == scale.with_tables(page, scale.tables(json.loads(scale.KEPT.read_text(encoding="utf-8"))))


def test_the_page_s_command_is_one_that_is_run():
    assert "python benchmarks/scale.py --smoke" in scale.PAGE.read_text(encoding="utf-8").splitlines()
