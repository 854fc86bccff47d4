"""Frozen tensors: a rule over the rest of the model, against the same rule on a model that never had them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors import plugins
from fedactors.aggregation import Contribution, Ordered
from fedactors.aggregation.clipped import Clipped
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.frozen import Frozen
from fedactors.aggregation.krum import Krum
from fedactors.aggregation.server import ServerStep
from fedactors.errors import ConfigError, ModelError
from fedactors.model import DTYPES, GlobalModel, Layout
from fedactors.scope import matches
from fedactors.testing.conformance_rule import LAYOUT, check_rule
from tests.aggregation.layouts import committed, contributions, drawn, layouts


def built(name, **options):
    rule = plugins.build("fedactors.aggregation", name, options)
    return ServerStep(rule, FedAvg()) if hasattr(rule, "stepper") else rule


RULES = [built(name) for name in ("fedavg", "fedadam", "fednova", "fedbuff", "fedrec", "fedstride", "median", "geometric_median")]
RULES += [Krum(1), Clipped(FedAvg(), 0.5), Ordered(FedAvg())]


def without(layout, frozen, buffer):
    """The same values in a layout that never had the frozen tensors."""
    free = Layout.from_specs([spec for spec in layout.specs if spec[0] not in frozen])
    return free, free.pack({name: array for name, array in layout.views(buffer).items() if name not in frozen})


def reduced(layout, frozen, update: Contribution) -> Contribution:
    return replace(update, buffer=without(layout, frozen, update.buffer)[1], base=without(layout, frozen, update.base)[1])


@pytest.mark.parametrize("rule", RULES, ids=repr)
@settings(deadline=None, max_examples=15)
@given(layouts, st.integers(0, 2**31), st.data())
def test_the_rest_is_what_the_rule_makes_of_a_model_without_frozen_tensors(rule, layout, seed, data):
    names = [tensor.name for tensor in layout.tensors]
    frozen = set(data.draw(st.lists(st.sampled_from(names), max_size=len(names) - 1, unique=True))) if len(names) > 1 else set()
    rng = np.random.default_rng(seed)
    current = drawn(layout, rng)
    updates = contributions(layout, rng, 7, drawn(layout, rng))
    found = layout.views(committed(Frozen(rule, tuple(frozen) or ("none",)), layout, updates, current))
    free, start = without(layout, frozen, current)
    expected = free.views(committed(rule, free, [reduced(layout, frozen, update) for update in updates], start))
    for name in names:
        wanted = layout.views(current)[name] if name in frozen else expected[name]
        assert found[name].tobytes() == wanted.tobytes(), name


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_rule_with_frozen_tensors_conforms(rule):
    check_rule(Frozen(rule, ("int*", "float32.values", "long")), equal_updates_are_a_fixed_point=False)


@pytest.mark.parametrize("patterns", [("float32*",), ("*.scalar", "long"), tuple(f"{dtype}.values" for dtype in DTYPES)], ids=str)
def test_every_dtype_stays_bit_for_bit_over_rounds_and_padding_is_clean(patterns):
    rng = np.random.default_rng(3)
    start = drawn(LAYOUT, rng)
    start[LAYOUT.tensors[0].nbytes] = 77  # a byte of padding, which a learner may have filled with anything
    fold = Frozen(FedAvg(), patterns).fold(LAYOUT)
    model = GlobalModel(0, LAYOUT, start)
    for version in (1, 2):
        for update in contributions(LAYOUT, rng, 3, model.buffer):
            fold.add(update)
        model = GlobalModel(version, LAYOUT, fold.commit(model))
    first, last = LAYOUT.views(start), model.weights
    changed = {name for name in last if last[name].size and last[name].tobytes() != first[name].tobytes()}
    frozen = {name for name in last if matches(patterns, name)}
    assert frozen
    assert not changed & frozen
    assert len(changed) > len(DTYPES) / 2
    assert LAYOUT.pack(last).tobytes() == model.buffer.tobytes()


def test_what_learners_send_in_place_of_frozen_tensors_counts_for_no_distance():
    layout = Layout.from_specs([("w", "float32", (2,)), ("frozen", "float32", (2,))])
    base = layout.pack({"w": np.zeros(2, np.float32), "frozen": np.zeros(2, np.float32)})
    wild = layout.pack({"w": np.full(2, 0.1, np.float32), "frozen": np.full(2, 1e9, np.float32)})
    update = Contribution("a", wild, 1.0, base=base)
    clipped = layout.views(committed(Frozen(Clipped(FedAvg(), 1.0), ("frozen",)), layout, [update], base))
    np.testing.assert_allclose(clipped["w"], 0.1)


def test_a_whole_frozen_model_and_no_pattern_are_errors():
    with pytest.raises(ModelError, match="nothing is left to combine"):
        Frozen(FedAvg(), ("*",)).fold(LAYOUT)
    with pytest.raises(ConfigError, match="use the rule as it is"):
        Frozen(FedAvg(), ())
