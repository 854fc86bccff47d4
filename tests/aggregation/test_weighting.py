"""Factors from reports."""

import pytest

from fedactors.aggregation import Weighting
from fedactors.errors import ConfigError, ModelError
from fedactors.task import TrainReport

REPORT = TrainReport(
    num_examples=120, num_batches=4, metrics={"quality": 0.25, "loss": -1.0, "odd": float("nan"), "tiny": 1e-300, "none": 0.0}
)


@pytest.mark.parametrize(
    ("by", "factor"),
    [("examples", 120.0), ("batches", 4.0), ("participants", 1.0), ("metric:quality", 0.25), ("metric:none", 0.0)],
)
def test_factor_is_what_the_weighting_names(by, factor):
    assert Weighting(by).factor(REPORT) == factor


def test_named_weightings_are_constants_too():
    assert (Weighting("examples"), Weighting("batches")) == (Weighting.EXAMPLES, Weighting.BATCHES)
    assert Weighting.PARTICIPANTS == Weighting("participants") != Weighting()


def test_metric_that_was_not_reported_is_named_with_those_that_were():
    with pytest.raises(ModelError, match="metric 'qualty', which the learner did not report; its metrics: loss, none, odd"):
        Weighting("metric:qualty").factor(REPORT)


@pytest.mark.parametrize("name", ["loss", "odd", "tiny"])
def test_metric_that_cannot_be_a_factor_is_refused_with_its_value(name):
    with pytest.raises(ModelError, match=f"metric '{name}', which is {REPORT.metrics[name]}"):
        Weighting(f"metric:{name}").factor(REPORT)


@pytest.mark.parametrize(
    ("by", "remedy"), [("exmaples", "did you mean 'examples'"), ("accuracy", "known are examples"), ("metric:", "known are")]
)
def test_unknown_weighting_is_refused_with_a_remedy(by, remedy):
    with pytest.raises(ConfigError, match=remedy):
        Weighting(by)
