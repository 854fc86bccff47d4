"""Reports: what is accepted, and how evaluations are averaged."""

import math

import numpy as np
import pytest

from fedactors.errors import LearnerFailed
from fedactors.task import METRICS_MAX, EvaluationReport, TrainReport, averaged, metrics_problem, numbers

NAN = float("nan")


def test_report_of_zeros_and_fractions_is_accepted():
    assert TrainReport(num_examples=0).problem() is None
    assert TrainReport(10, 2, epochs=0.25, ms_per_batch=1.5, ms_per_epoch=3.25, metrics={"loss": NAN}).problem() is None


@pytest.mark.parametrize("name", ["num_examples", "num_batches", "epochs", "ms_per_batch", "ms_per_epoch"])
@pytest.mark.parametrize("value", [-1, NAN, math.inf])
def test_count_or_time_that_is_negative_or_not_finite_is_named(name, value):
    report = TrainReport(**{"num_examples": 1, name: value})
    assert report.problem() == f"{name} is {value}; it must be a finite number >= 0"


def test_evaluation_on_a_negative_number_of_examples_is_a_problem():
    assert EvaluationReport(-3).problem() == "num_examples is -3; it must be a finite number >= 0"
    assert EvaluationReport(0).problem() is None


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"loss": "low"}, "metric 'loss' is 'low'; metrics are numbers by name"),
        ({"ok": True}, "metric 'ok' is True; metrics are numbers by name"),
        ({3: 1.0}, "metric 3 is 1.0; metrics are numbers by name"),
        ({str(n): 0.0 for n in range(METRICS_MAX + 1)}, "257 metrics; at most 256 are taken"),
    ],
)
def test_metrics_that_are_not_numbers_by_name_are_a_problem(metrics, said):
    assert metrics_problem(metrics) == said
    assert TrainReport(1, metrics=metrics).problem() == EvaluationReport(1, metrics).problem() == said


def test_nan_and_infinite_metrics_are_news_not_a_problem():
    assert metrics_problem({"loss": NAN, "worst": math.inf, "count": 3}) is None


def test_metrics_are_averaged_by_examples():
    reports = {"b": EvaluationReport(1, {"accuracy": 1.0}), "a": EvaluationReport(3, {"accuracy": 0.0})}
    assert averaged(reports) == {"accuracy": 0.25}


def test_metric_is_averaged_over_those_that_report_it():
    reports = {"a": EvaluationReport(1, {"accuracy": 0.5, "f1": 0.25}), "b": EvaluationReport(3, {"accuracy": 0.5})}
    assert averaged(reports) == {"accuracy": 0.5, "f1": 0.25}


def test_learner_without_examples_counts_only_where_nobody_has_any():
    none = {"a": EvaluationReport(0, {"loss": 1.0}), "b": EvaluationReport(0, {"loss": 3.0})}
    assert averaged(none) == {"loss": 2.0}
    assert averaged({**none, "c": EvaluationReport(5, {"loss": 9.0})}) == {"loss": 9.0}
    assert averaged({"a": EvaluationReport(0, {"loss": NAN}), "c": EvaluationReport(5, {"loss": 9.0})}) == {"loss": 9.0}


def test_no_reports_give_no_metrics():
    assert averaged({}) == {}
    assert averaged({"a": EvaluationReport(4)}) == {}


def test_diverged_learner_shows_in_the_mean():
    assert math.isnan(averaged({"a": EvaluationReport(1, {"loss": NAN}), "b": EvaluationReport(9, {"loss": 1.0})})["loss"])


def test_mean_has_the_same_bits_in_any_order():
    values = [0.1, 0.2, 0.3, 1e16, -1e16]
    reports = {f"l{n}": EvaluationReport(n + 1, {"loss": value}) for n, value in enumerate(values)}
    assert averaged(reports) == averaged(dict(reversed(reports.items())))


def test_numbers_unwraps_scalars_of_numpy_and_keeps_ints():
    given = {"a": np.float32(0.5), "b": 3, "c": np.int64(4), "d": np.array(2.5), "e": True}
    found = numbers("train()", given)
    assert found == {"a": 0.5, "b": 3, "c": 4.0, "d": 2.5, "e": 1.0}
    assert [type(value) for value in found.values()] == [float, int, float, float, float]


@pytest.mark.parametrize("value", [None, "high", [1, 2], 1j])
def test_value_that_is_no_number_is_named_with_its_owner(value):
    with pytest.raises(LearnerFailed, match=r"train\(\) gave metric 'loss' = .*, which is not a number"):
        numbers("train()", {"loss": value})


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        (TrainReport(2**64 - 1), "num_examples is 1.84467e+19; at most 1e+12 is taken"),
        (TrainReport(1, epochs=1e300), "epochs is 1e+300; at most 1e+12 is taken"),
        (TrainReport(1, metrics={"a\x1b[2J": 1.0}), "or not printable"),
        (EvaluationReport(1, {"a" * 129: 1.0}), "is longer than 128 characters"),
        (EvaluationReport(2**63), "at most 1e+12 is taken"),
    ],
)
def test_what_could_not_be_counted_or_shown_is_a_problem(report, problem):
    assert problem in report.problem()


def test_of_too_many_metrics_those_that_most_learners_report_are_averaged():
    honest = {f"h{number}": EvaluationReport(1, {"loss": 0.5, "accuracy": 0.25}) for number in range(2)}
    flood = {f"a{number}": EvaluationReport(1, {f"m{number}-{k}": 1.0 for k in range(METRICS_MAX)}) for number in range(3)}
    metrics = averaged(honest | flood)
    assert len(metrics) == METRICS_MAX
    assert (metrics["loss"], metrics["accuracy"]) == (0.5, 0.25)
