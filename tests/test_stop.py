"""Stop conditions: when they are met, and in which words."""

from dataclasses import replace

import pytest

from fedactors.errors import ConfigError
from fedactors.record import Phases, RoundRecord, Totals
from fedactors.stop import ROUNDS_WITHOUT_METRICS_MAX, MetricTarget, StopConditions

NAN = float("nan")


def record(round_, **metrics):
    return RoundRecord(round_, round_, "2026-01-01T00:00:00.000000+00:00", 1.0, Phases(0, 0, 0, 0), (), {}, metrics)


def records(*values, name="accuracy"):
    return [record(round_, **({} if value is None else {name: value})) for round_, value in enumerate(values, 1)]


def reached(metric, *values):
    """The round that a run with these values stops after, and why."""
    state = StopConditions(metric=metric).start()
    for each in records(*values):
        if (why := state.after_evaluation(each)) is not None:
            return each.round, why
    return None


def test_without_conditions_nothing_stops():
    assert StopConditions().reached(records(*[0.5] * 50), elapsed_s=1e9) is None
    assert not StopConditions().needs_evaluation


def test_rounds_stop_at_the_commit_of_the_last_one():
    state = StopConditions(rounds=3).start()
    assert [state.after_commit(round_) for round_ in (1, 2, 3)] == [None, None, "round 3 is committed, the last of 3"]


def test_updates_stop_at_the_commit_that_reaches_them():
    state = StopConditions(updates=10).start()
    assert [state.after_commit(round_, 4) for round_ in (1, 2, 3)] == [
        None,
        None,
        "12 updates are combined in 3 rounds; the limit is 10",
    ]


def test_resumed_run_goes_on_counting_updates():
    records = [replace(record(round_), totals=Totals(accepted=4)) for round_ in (1, 2)]
    assert StopConditions(updates=10).start(records).after_commit(3, 4) is not None
    assert StopConditions(updates=13).start(records).after_commit(3, 4) is None
    assert StopConditions(updates=8).reached(records, 0.0) == "8 updates are combined in 2 rounds; the limit is 8"


def test_resumed_run_goes_on_counting():
    state = StopConditions(rounds=3).start(records(0.1, 0.2))
    assert state.after_commit(3) == "round 3 is committed, the last of 3"


def test_duration_stops_when_it_has_passed():
    state = StopConditions(duration_s=60.0).start()
    assert state.after_time(59.9) is None
    assert state.after_time(60.25) == "60.25 s have passed; the limit is 60 s"


def test_only_a_metric_needs_evaluation():
    assert not StopConditions(rounds=3, duration_s=5.0).needs_evaluation
    assert StopConditions(metric=MetricTarget("accuracy", target=0.9)).needs_evaluation


@pytest.mark.parametrize(
    ("direction", "values", "round_"), [("max", (0.5, 0.89, 0.9), 3), ("min", (0.5, 0.3, 0.1), 2), ("max", (NAN, 2.0), 2)]
)
def test_target_stops_at_the_first_value_that_is_good_enough(direction, values, round_):
    target = 0.9 if direction == "max" else 0.3
    found, why = reached(MetricTarget("accuracy", target=target, direction=direction), *values)
    assert found == round_
    assert why == f"metric 'accuracy' is {values[round_ - 1]:g} after round {round_}; its target is {target:g}"


def test_patience_counts_evaluated_rounds_without_a_gain():
    metric = MetricTarget("accuracy", patience=2)
    assert reached(metric, 0.5, 0.6, None, 0.6, None, 0.59) == (
        6,
        "metric 'accuracy' has not got better in 2 rounds; its best is 0.6 of round 2",
    )


def test_gain_is_more_than_min_delta():
    metric = MetricTarget("accuracy", patience=2, min_delta=0.25, direction="min")
    assert reached(metric, 1.0, 0.75, 0.5, 0.25, 0.25) == (
        5,
        "metric 'accuracy' has not got better by more than 0.25 in 2 rounds; its best is 0.5 of round 3",
    )


def test_slow_gains_add_up_to_one():
    assert reached(MetricTarget("accuracy", patience=3, min_delta=0.1), 0.5, 0.56, 0.62, 0.68, 0.74) is None


def test_metric_that_is_never_a_number_runs_out_of_patience():
    assert reached(MetricTarget("accuracy", patience=2), NAN, NAN) == (
        2,
        "metric 'accuracy' has not got better in 2 rounds; its best is no number yet",
    )


def test_nan_after_a_number_is_no_gain():
    assert reached(MetricTarget("accuracy", patience=1), 0.5, NAN)[0] == 2


def test_unknown_metric_stops_the_run_and_names_those_that_are_reported():
    state = StopConditions(metric=MetricTarget("acuracy", target=0.9)).start()
    assert state.after_evaluation(record(1)) is None
    why = state.after_evaluation(record(2, loss=1.0, accuracy=0.5))
    assert why == "metric 'acuracy', which the run stops by, is not reported; learners report accuracy, loss"


def test_metric_that_is_missing_for_a_round_is_waited_for():
    state = StopConditions(metric=MetricTarget("accuracy", target=0.9)).start()
    assert state.after_evaluation(record(1, accuracy=0.5)) is None
    assert state.after_evaluation(record(2, loss=0.5)) is None
    assert state.after_evaluation(record(3)) is None


def test_silence_does_not_last_for_ever():
    state = StopConditions(metric=MetricTarget("accuracy", target=0.9)).start()
    whys = [state.after_evaluation(record(round_)) for round_ in range(1, ROUNDS_WITHOUT_METRICS_MAX + 1)]
    assert whys[:-1] == [None] * (ROUNDS_WITHOUT_METRICS_MAX - 1)
    assert "no metric was, in 1000 rounds" in whys[-1]


def test_first_condition_that_is_met_is_the_reason():
    conditions = StopConditions(rounds=3, duration_s=10.0, metric=MetricTarget("accuracy", target=0.9))
    assert conditions.reached(records(0.1, 0.95, 0.1), elapsed_s=99.0) == (
        "metric 'accuracy' is 0.95 after round 2; its target is 0.9"
    )
    assert conditions.reached(records(0.1, 0.2, 0.3), elapsed_s=99.0) == "round 3 is committed, the last of 3"
    assert conditions.reached(records(0.1), elapsed_s=99.0) == "99 s have passed; the limit is 10 s"
    assert conditions.reached(records(0.1), elapsed_s=9.0) is None


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: StopConditions(rounds=0), "rounds=0"),
        (lambda: StopConditions(duration_s=0.0), "duration_s=0.0"),
        (lambda: StopConditions(duration_s=NAN), "duration_s=nan"),
        (lambda: MetricTarget("loss"), "needs a target, a patience, or both"),
        (lambda: MetricTarget("loss", target=1.0, direction="down"), "direction of metric 'loss' is 'down'"),
        (lambda: MetricTarget("loss", patience=0), "patience for metric 'loss' is 0"),
        (lambda: MetricTarget("loss", patience=1, min_delta=-1.0), "min_delta of metric 'loss' is -1.0"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(make, named):
    with pytest.raises(ConfigError) as refused:
        make()
    assert named in str(refused.value)
