"""A mean of means, weighted by what their reports stand for, is the mean of everything."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedactors.aggregation import Weighting
from fedactors.aggregation.base import Contribution
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.stand_in import Weighed, stand_in
from fedactors.model import GlobalModel, Layout
from fedactors.task import METRICS_MAX, TrainReport

SIZE = 17
LAYOUT = Layout.of({"w": np.zeros(SIZE, np.float32)})
EXAMPLES = Weighting.EXAMPLES


def report(examples: int, **more: object) -> TrainReport:
    return TrainReport(examples, **more)


def mean(parts: list[tuple[np.ndarray, TrainReport]], weighting: Weighting = EXAMPLES) -> tuple[np.ndarray, TrainReport]:
    """What an aggregator makes of these updates, and the report that stands for theirs."""
    fold, factors = FedAvg().fold(LAYOUT), [weighting.factor(told) for _, told in parts]
    for number, ((weights, told), factor) in enumerate(zip(parts, factors, strict=True)):
        fold.add(Contribution(f"learner-{number:03}", LAYOUT.pack({"w": weights}), factor, report=told))
    current = GlobalModel(0, LAYOUT, LAYOUT.pack({"w": np.zeros(SIZE, np.float32)}))
    combined = LAYOUT.views(fold.commit(current))["w"]
    weighed = [Weighed(factor, told) for factor, (_, told) in zip(factors, parts, strict=True)]
    return combined, stand_in(weighed, weighting)


def tree(groups: list[list[tuple[np.ndarray, TrainReport]]], weighting: Weighting = EXAMPLES) -> tuple[np.ndarray, TrainReport]:
    """The same by way of relays."""
    return mean([mean(group, weighting) for group in groups], weighting)


def groups(values: st.SearchStrategy[float], examples: st.SearchStrategy[int], size: st.SearchStrategy[int]):
    update = st.tuples(
        st.lists(values, min_size=SIZE, max_size=SIZE).map(lambda numbers: np.array(numbers, np.float32)),
        examples.map(report),
    )
    return st.lists(size.flatmap(lambda n: st.lists(update, min_size=n, max_size=n)), min_size=1, max_size=4)


@given(groups(st.floats(-1e3, 1e3, width=32), st.integers(1, 10**6), st.integers(1, 6)))
def test_a_tree_differs_from_the_flat_federation_by_what_one_more_rounding_costs(found):
    flat, told = mean([update for group in found for update in group])
    up, up_told = tree(found)
    largest = max(np.abs(weights).max() for group in found for weights, _ in group)
    np.testing.assert_allclose(up, flat, rtol=0, atol=4 * np.finfo(np.float32).eps * largest)
    assert up_told.num_examples == told.num_examples


@given(
    groups(st.integers(-1000, 1000).map(float), st.just(8), st.sampled_from([4])).filter(lambda found: len(found) in (1, 2, 4))
)
def test_where_no_mean_has_to_be_rounded_a_tree_gives_the_same_bits(found):
    flat, _ = mean([update for group in found for update in group])
    up, _ = tree(found)
    assert up.tobytes() == flat.tobytes()


REPORTS = st.lists(
    st.builds(
        TrainReport,
        num_examples=st.integers(1, 10**6),
        num_batches=st.integers(0, 10**6),
        epochs=st.floats(0, 100),
        ms_per_batch=st.floats(0, 1e6),
        ms_per_epoch=st.floats(0, 1e6),
        metrics=st.fixed_dictionaries({"loss": st.floats(-1e6, 1e6)}),
    ),
    min_size=1,
    max_size=6,
)


def summed(reports: list[TrainReport], weighting: Weighting = EXAMPLES) -> TrainReport:
    return stand_in([Weighed(weighting.factor(told), told) for told in reports], weighting)


@given(st.lists(REPORTS, min_size=1, max_size=4))
def test_reports_of_a_tree_stand_for_those_of_all(found):
    up, flat = summed([summed(group) for group in found]), summed([told for group in found for told in group])
    assert (up.num_examples, up.num_batches) == (flat.num_examples, flat.num_batches)
    assert (up.ms_per_batch, up.ms_per_epoch) == (flat.ms_per_batch, flat.ms_per_epoch)
    assert up.epochs == pytest.approx(flat.epochs, rel=1e-9, abs=1e-9)
    assert up.metrics == {"loss": pytest.approx(flat.metrics["loss"], rel=1e-9, abs=1e-6)}


@given(REPORTS, st.randoms())
def test_the_order_of_updates_makes_no_difference(found, random):
    shuffled = found[:]
    random.shuffle(shuffled)
    assert summed(shuffled) == summed(found)


def test_a_metric_that_weighs_is_summed_and_weighs_as_much_as_all():
    weighting = Weighting("metric:cases")
    told = summed([report(0, metrics={"cases": 3.0, "loss": 1.0}), report(0, metrics={"cases": 1.0, "loss": 5.0})], weighting)
    assert told.metrics == {"cases": 4.0, "loss": 2.0}
    assert weighting.factor(told) == 4.0


def test_a_metric_is_averaged_over_those_who_report_it():
    told = summed([report(1, metrics={"loss": 1.0}), report(3, metrics={}), report(1, metrics={"loss": 2.0})])
    assert told.metrics == {"loss": 1.5}


def test_a_metric_that_is_not_finite_stays_so():
    told = summed([report(1, metrics={"loss": math.nan, "norm": math.inf}), report(1, metrics={"loss": 1.0, "norm": 1.0})])
    assert math.isnan(told.metrics["loss"])
    assert told.metrics["norm"] == math.inf


def test_of_too_many_metrics_those_are_told_that_most_report():
    many = {f"m{number:03}": 1.0 for number in range(METRICS_MAX)}
    told = summed([report(1, metrics=many), report(1, metrics={"zz": 2.0}), report(1, metrics={"zz": 4.0})])
    assert len(told.metrics) == METRICS_MAX
    assert told.metrics["zz"] == 3.0
    assert told.problem() is None


def test_what_nobody_weighs_is_averaged_plainly():
    assert stand_in(
        [Weighed(0.0, report(0, metrics={"loss": 1.0})), Weighed(0.0, report(0, metrics={"loss": 2.0}))], EXAMPLES
    ).metrics == {"loss": 1.5}
