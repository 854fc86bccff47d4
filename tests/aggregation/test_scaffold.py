"""SCAFFOLD's server side against its formulas; whole runs are in tests/actors/test_scaffold_runs.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.aggregation import Contribution, Ordered
from fedactors.aggregation.scaffold import Scaffold
from fedactors.errors import ConfigError, ModelError
from fedactors.model import GlobalModel, Layout, is_floating
from fedactors.task import TrainReport
from fedactors.testing.conformance_rule import check_rule
from fedactors.variates import PREFIX, has_variates, parted, plain_layout, plain_model, with_variates
from tests.aggregation.layouts import agrees, committed, contributions, drawn, exact, layouts


def varied(layout: Layout) -> Layout:
    return Layout.of(with_variates(layout.views(np.zeros(layout.nbytes, np.uint8))))


@pytest.mark.parametrize("rule", [Scaffold(), Scaffold(2.0, learners=40), Ordered(Scaffold(0.5))], ids=repr)
def test_it_conforms(rule):
    eta = getattr(rule, "rule", rule).server_learning_rate
    check_rule(rule, equal_updates_are_a_fixed_point=eta == 1)


@settings(deadline=None, max_examples=40)
@given(layouts, st.integers(0, 2**31), st.sampled_from([1.0, 0.3, 2.0]), st.integers(0, 20), st.integers(1, 7))
def test_weights_step_along_the_mean_difference_and_variates_grow_by_their_share(plain, seed, eta, learners, number):
    layout, rng = varied(plain), np.random.default_rng(seed)
    current = drawn(layout, rng)
    updates = contributions(layout, rng, number, current)
    found = committed(Scaffold(eta, learners), layout, updates, current)
    each = [exact(layout, update.buffer) for update in updates]
    x, w = exact(layout, current), {name: np.stack([tensors[name] for tensors in each]) for name in each[0]}
    expected = {
        name: x[name] + w[name].sum(0) / max(learners, number)
        if name.startswith(PREFIX)
        else x[name] + eta * (w[name] - x[name]).mean(0)
        for name in x
    }
    agrees(layout, found, expected, size=8.0, relative=4e-6)


def test_n_grows_with_those_who_take_part_and_shrinks_when_they_leave():
    layout = varied(Layout.from_specs([("w", "float64", (1,))]))

    def update(learner, growth):
        buffer = layout.pack({"w": np.ones(1), "scaffold/w": np.full(1, growth)})
        return Contribution(learner, buffer, 1.0, base=layout.pack({"w": np.ones(1), "scaffold/w": np.zeros(1)}))

    fold = Scaffold().fold(layout)
    model = GlobalModel(0, layout, layout.pack({"w": np.ones(1), "scaffold/w": np.zeros(1)}))
    seen = []
    for learners, gone in ((("a", "b"), None), (("c",), None), (("c",), "a")):
        if gone:
            fold.forget(gone)
        for learner in learners:
            fold.add(update(learner, 6.0))
        model = GlobalModel(model.version + 1, layout, fold.commit(model))
        seen.append(model.weights["scaffold/w"].item())
    assert seen == [6.0, 6.0 + 6 / 3, 6.0 + 6 / 3 + 6 / 2]


def test_updates_count_alike_whatever_their_factor_unless_it_is_zero():
    layout = varied(Layout.from_specs([("w", "float32", (3,))]))
    rng = np.random.default_rng(1)
    current = drawn(layout, rng)
    updates = contributions(layout, rng, 4, current)
    alike = [replace(update, factor=1.0) for update in updates[:3]]
    found = committed(Scaffold(), layout, [*updates[:3], replace(updates[3], factor=0.0)], current)
    assert found.tobytes() == committed(Scaffold(), layout, alike, current).tobytes()


@pytest.mark.parametrize(
    "options", [{"server_learning_rate": 0.0}, {"server_learning_rate": float("nan")}, {"learners": -1}], ids=str
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match=r"scaffold has .* give"):
        Scaffold(**options)


# ------------------------------------------------------------------------------------------------------- variates in a model


def test_each_floating_point_tensor_has_a_variate_behind_all_tensors():
    weights = {"h": np.ones((2, 2), np.float16), "n": np.array(3), "d": np.ones(2), "s": np.ones((), np.float32)}
    varied_weights = with_variates(weights)
    specs = Layout.of(varied_weights).specs[4:]
    assert specs == [("scaffold/h", "float32", (2, 2)), ("scaffold/d", "float64", (2,)), ("scaffold/s", "float32", ())]
    plain, variates = parted(varied_weights)
    assert list(plain) == list(weights)
    assert list(variates) == ["h", "d", "s"]
    assert not any(array.any() for array in variates.values())


@given(layouts)
def test_a_model_without_its_variates_is_the_model(layout):
    buffer = drawn(layout, np.random.default_rng(2))
    weights = layout.views(buffer)
    model = GlobalModel.initial(with_variates(weights))
    assert has_variates(model.layout)
    assert plain_model(model).buffer.tobytes() == buffer.tobytes()
    assert plain_layout(model.layout) == layout
    assert has_variates(layout) == (not any(is_floating(tensor.dtype) for tensor in layout.tensors))


def test_a_tensor_with_a_variate_s_name_is_refused():
    with pytest.raises(ModelError, match="tensor 'scaffold/w' has a name that begins with 'scaffold/'"):
        with_variates({"scaffold/w": np.zeros(1)})


def test_a_report_needs_nothing_of_the_server():
    Scaffold().check(TrainReport(0))
