"""Every registered rule against its paper in float64: any layout, 1 to 200 updates, round after round, while learners leave."""

from functools import lru_cache
from importlib.metadata import entry_points

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.aggregation.clipped import Clipped
from fedactors.aggregation.fednova import FedNova
from fedactors.aggregation.geometric_median import GeometricMedian
from tests.aggregation.layouts import EVERY_DTYPE, agrees, committed, contributions, drawn, layouts
from tests.aggregation.oracles import RULES, Oracle

ALL = [rule for rules in RULES.values() for rule in rules]


def precision(rule, layout):
    """How exact a rule is, for `agrees`: relative to its values' size, which fednova's steps multiply."""
    if isinstance(rule, Clipped) and any(tensor.dtype in {"bfloat16", "float16"} for tensor in layout.tensors):
        return {"relative": 4e-3}  # a clipped update is rounded to its dtype before it counts
    if isinstance(rule, GeometricMedian):
        return {"relative": 1e-5}
    return {"relative": 3e-6, "size": 200.0 if isinstance(rule, FedNova) else 4.0}


def test_every_rule_of_the_house_has_an_oracle():
    house = {point.name for point in entry_points(group="fedactors.aggregation") if point.value.startswith("fedactors.")}
    assert set(RULES) == house


@pytest.mark.parametrize("rule", ALL, ids=repr)
@settings(max_examples=6, deadline=None, derandomize=True, database=None)
@given(layout=layouts, number=st.integers(1, 40), seed=st.integers(0, 1000))
def test_rounds_agree_with_the_paper_while_factors_change_and_learners_leave(rule, layout, number, seed):
    rng = np.random.default_rng(seed)
    number = max(number, rule.updates_min)
    fold, oracle, base, current = rule.fold(layout), Oracle(rule, layout), drawn(layout, rng), drawn(layout, rng)
    for _ in range(4):
        everybody = contributions(layout, rng, number, base)
        here = rng.permutation(number)[: rng.integers(rule.updates_min, number + 1)]
        sent = [everybody[index] for index in here]
        found = committed(fold, layout, sent, current)
        agrees(layout, found, oracle.expected(sent, current), **precision(rule, layout))
        if len(oracle.latest) > 1:  # where something is kept of a learner, somebody who sent an update leaves
            gone = sent[0].learner
            fold.forget(gone)
            oracle.forget(gone)
        base, current = current, found


@lru_cache(maxsize=8)
def a_round(updates):
    rng = np.random.default_rng(updates)
    base, current = drawn(EVERY_DTYPE, rng), drawn(EVERY_DTYPE, rng)
    return contributions(EVERY_DTYPE, rng, updates, base), current


@pytest.mark.parametrize("rule", ALL, ids=repr)
@pytest.mark.parametrize("updates", [1, 200])
def test_one_update_and_200_agree_with_the_paper_in_every_dtype(rule, updates):
    sent, current = a_round(max(updates, rule.updates_min))
    found = committed(rule, EVERY_DTYPE, sent, current)
    agrees(EVERY_DTYPE, found, Oracle(rule, EVERY_DTYPE).expected(sent, current), **precision(rule, EVERY_DTYPE))


@pytest.mark.parametrize("rule", ALL, ids=repr)
def test_the_first_element_of_a_tensor_is_combined_like_all_others(rule):
    rng = np.random.default_rng(0)
    base, current = uniform(rng), uniform(rng)
    fold = rule.fold(EVERY_DTYPE)
    for _ in range(3):
        sent = contributions(EVERY_DTYPE, rng, max(4, rule.updates_min), base)
        for update in sent:
            update.buffer[...] = uniform(rng)
        base, current = current, committed(fold, EVERY_DTYPE, sent, current)
        for name, view in EVERY_DTYPE.views(current).items():
            assert (view == view[0]).all(), name


def uniform(rng):
    """Tensors whose elements are all alike."""
    buffer = drawn(EVERY_DTYPE, rng)
    for view in EVERY_DTYPE.views(buffer).values():
        view[...] = view[0]
    return buffer
