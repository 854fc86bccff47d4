"""Robust rules: what they withstand, how they order and measure; against their papers in test_oracles."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from fedactors.aggregation import Contribution
from fedactors.aggregation._distance import gram, squared_distances
from fedactors.aggregation._order import NETWORK_MAX, network
from fedactors.aggregation.bulyan import Bulyan
from fedactors.aggregation.clipped import Clipped
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.geometric_median import GeometricMedian
from fedactors.aggregation.krum import Krum
from fedactors.aggregation.median import Median
from fedactors.aggregation.multi_krum import MultiKrum
from fedactors.aggregation.trimmed_mean import TrimmedMean
from fedactors.errors import ConfigError, ModelError
from fedactors.model import Layout
from fedactors.testing.conformance_rule import check_rule
from tests.aggregation.layouts import EVERY_DTYPE, agrees, committed, contributions, drawn, exact
from tests.aggregation.oracles import Oracle

FLOATS = Layout.from_specs([("a", "float32", (40,)), ("b", "float64", (3, 5)), ("n", "int32", (4,))])


@pytest.mark.parametrize("rule", [Median(), TrimmedMean(0.2)], ids=repr)
@pytest.mark.parametrize("updates", [NETWORK_MAX, NETWORK_MAX + 1])
def test_order_statistics_by_a_network_and_by_a_sort_agree_with_numpy(rule, updates):
    rng = np.random.default_rng(updates)
    current = drawn(EVERY_DTYPE, rng)
    sent = contributions(EVERY_DTYPE, rng, updates, current)
    agrees(EVERY_DTYPE, committed(rule, EVERY_DTYPE, sent, current), Oracle(rule, EVERY_DTYPE).expected(sent, current))


@pytest.mark.parametrize("lines", range(1, 14))
def test_network_leaves_the_middle_in_the_middle_whatever_comes_in(lines):
    """A network that orders all zeros and ones orders everything (Knuth's zero-one principle)."""
    rows = np.array(list(product([0, 1], repeat=lines)), np.int8).T
    for trim in range((lines + 1) // 2):
        wires = list(rows)
        for i, j, low, high in network(lines, trim):
            one, other = wires[i], wires[j]
            wires[i] = np.minimum(one, other) if low else np.full_like(one, 9)
            wires[j] = np.maximum(one, other) if high else np.full_like(one, 9)
        assert (sum(wires[trim : lines - trim]) == np.sort(rows, axis=0)[trim : lines - trim].sum(axis=0)).all()


def test_a_pruned_network_is_smaller_than_a_whole_sort():
    assert len(network(10, 4)) < len(network(10, 0)) + 31
    assert network(10, 0) == ()
    assert len(network(10, 1)) < 31


# --------------------------------------------------------------------------------------------------------------- geometric median


def test_geometric_median_of_three_points_is_the_published_fermat_point():
    """Corners of a right isosceles triangle (0,0), (1,0), (0,1): both coordinates are (3 - sqrt 3) / 6."""
    layout = Layout.from_specs([("p", "float64", (2,))])
    corners = [layout.pack({"p": np.array(point)}) for point in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))]
    sent = [Contribution(str(index), corner, 1.0) for index, corner in enumerate(corners)]
    found = exact(layout, committed(GeometricMedian(), layout, sent, corners[0]))["p"]
    np.testing.assert_allclose(found, (3 - math.sqrt(3)) / 6, rtol=1e-9)


# ------------------------------------------------------------------------------------------------------------------- robustness

ATTACKED = [Median(), TrimmedMean(0.25), Krum(4), MultiKrum(4), Bulyan(4), GeometricMedian()]


@pytest.mark.parametrize("rule", ATTACKED, ids=repr)
@pytest.mark.parametrize("attack", [-1e2, 1e6, 1e30, -3e38])
def test_a_fifth_of_wild_updates_moves_the_model_no_farther_than_the_honest_differ(rule, attack):
    rng = np.random.default_rng(12)
    layout = Layout.from_specs([("w", "float32", (500,))])
    current = layout.pack({"w": np.zeros(500, np.float32)})
    sent = contributions(layout, rng, 20, current)
    for wild in range(0, 20, 5):
        layout.views(sent[wild].buffer)["w"][...] = attack
    sent = [replace(update, factor=1.0) for update in sent]
    found = exact(layout, committed(rule, layout, sent, current))["w"]
    honest = np.stack([exact(layout, update.buffer)["w"] for index, update in enumerate(sent) if index % 5])
    assert (found >= honest.min(axis=0) - 1e-3).all()
    assert (found <= honest.max(axis=0) + 1e-3).all()


def test_rules_that_choose_give_back_exactly_what_was_sent():
    rng = np.random.default_rng(13)
    current = drawn(EVERY_DTYPE, rng)
    sent = contributions(EVERY_DTYPE, rng, 9, current)
    assert committed(Krum(), EVERY_DTYPE, sent, current).tobytes() in {
        EVERY_DTYPE.pack(EVERY_DTYPE.views(update.buffer)).tobytes() for update in sent
    }
    layout = Layout.from_specs([("n", "int64", (2,))])
    big = [layout.pack({"n": np.array([2**62 + n, -(2**62) - n])}) for n in range(5)]
    found = committed(Median(), layout, [Contribution(str(n), one, 1.0) for n, one in enumerate(big)], big[0])
    assert found.tobytes() == big[2].tobytes()


@pytest.mark.parametrize("rule", [*ATTACKED, Clipped(FedAvg(), 1.0)], ids=repr)
def test_what_a_peer_leaves_in_the_padding_is_no_part_of_its_update(rule):
    """Between and behind the tensors of its buffer; it may be NaN, which no check of the weights finds."""
    rng = np.random.default_rng(16)
    layout = Layout.from_specs([(name, "float32", (size,)) for name, size in (("a", 3), ("b", 40), ("c", 1))])
    base = drawn(layout, rng)
    dirty = contributions(layout, rng, 20, base)
    clean = [replace(update, buffer=layout.pack(layout.views(update.buffer))) for update in dirty]
    assert committed(rule, layout, dirty, base).tobytes() == committed(rule, layout, clean, base).tobytes()


def test_distances_near_the_model_keep_their_precision_beside_a_wild_update():
    rng = np.random.default_rng(14)
    layout = Layout.from_specs([("w", "float32", (1000,))])
    current = drawn(layout, rng)
    buffers = [current.copy() for _ in range(3)]
    for index, buffer in enumerate(buffers):
        layout.views(buffer)["w"][...] += np.float32(0.01 * index)
    layout.views(buffers[2])["w"][...] = 1e15
    squared = squared_distances(gram(layout, buffers, current))
    assert squared[0, 1] == pytest.approx(1000 * 0.01**2, rel=1e-3)


@pytest.mark.parametrize("rule", [Krum(1), MultiKrum(1), MultiKrum(1, chosen=4), Bulyan(1), TrimmedMean(0.2)], ids=repr)
def test_a_round_that_is_too_small_for_the_rule_is_refused_with_the_numbers(rule):
    rng = np.random.default_rng(15)
    current = drawn(FLOATS, rng)
    sent = contributions(FLOATS, rng, rule.updates_min, current)
    committed(rule, FLOATS, sent, current)
    with pytest.raises(ModelError, match=f"needs {len(sent)} updates in a round, and {len(sent) - 1} count: l000, l001"):
        committed(rule, FLOATS, sent[:-1], current)


# ------------------------------------------------------------------------------------------------------------------ norm clipping


@pytest.mark.parametrize("rule", [FedAvg(), Median()], ids=repr)
def test_clipping_conforms_over_any_rule(rule):
    check_rule(Clipped(rule, 0.1), equal_updates_are_a_fixed_point=False)


def test_what_is_not_finite_counts_as_its_base_when_clipped():
    layout = Layout.from_specs([("w", "float32", (2,))])
    base = layout.pack({"w": np.ones(2, np.float32)})
    sent = [Contribution("a", layout.pack({"w": np.array([np.inf, np.nan], np.float32)}), 1.0, base=base)]
    assert committed(Clipped(FedAvg(), 1.0), layout, sent, base).tobytes() == base.tobytes()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TrimmedMean(0.5), "trimmed_mean has trim=0.5; give a number above 0 and below 0.5"),
        (lambda: Krum(-1), "krum has byzantine=-1; give the number of updates that may be of any content"),
        (lambda: Bulyan(-1), "bulyan has byzantine=-1"),
        (lambda: MultiKrum(1, chosen=-1), "multi_krum has chosen=-1"),
        (lambda: GeometricMedian(0.0), "geometric_median has smoothing=0.0; give a distance above 0"),
        (lambda: GeometricMedian(iterations=0), "geometric_median has iterations=0; give a number >= 1"),
        (lambda: Clipped(FedAvg(), 0.0), "updates are clipped to norm 0.0; give a number above 0"),
    ],
)
def test_an_option_that_cannot_work_is_refused_with_the_remedy(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
