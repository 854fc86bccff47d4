"""The semi-synchronous protocol: how many steps each learner is given."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.errors import ConfigError
from fedactors.scheduling.base import Departed, Joined, Proceed, Train
from fedactors.scheduling.pace import STEPS_MAX, EqualTime
from fedactors.scheduling.semi_synchronous import SemiSynchronous
from fedactors.selection.base import Candidate
from tests.scheduling.play import Play

TIMINGS = {
    "a": {"ms_per_batch": 10.0, "ms_per_epoch": 100.0},
    "b": {"ms_per_batch": 20.0, "ms_per_epoch": 300.0},
    "c": {"ms_per_batch": 7.0, "ms_per_epoch": 70.0},
}


def steps(commands):
    return {command.learner: command.steps for command in commands if isinstance(command, Train)}


def play_round(play, round_, first_task, timings):
    """Everybody answers with these timings; the steps of the next round."""
    for number, (learner, timing) in enumerate(sorted(timings.items()), first_task):
        play.update(f"t{number}", learner, **timing)
    play.commit(round_)
    return steps(play.tell(Proceed()))


def test_first_round_is_a_cold_start():
    assert steps(Play(SemiSynchronous()).begun) == {"a": None, "b": None, "c": None}


def test_everybody_trains_for_as_long_as_the_slowest_needs_for_pace_epochs():
    play = Play(SemiSynchronous(pace=1.5))
    assert play_round(play, 1, 1, TIMINGS) == {"a": 45, "b": 23, "c": 65}  # t_max = 450 ms


def test_steps_follow_the_latest_timings():
    play = Play(SemiSynchronous(pace=2.0))
    play_round(play, 1, 1, TIMINGS)
    faster = TIMINGS | {"b": {"ms_per_batch": 5.0, "ms_per_epoch": 75.0}}
    assert play_round(play, 2, 4, faster) == {"a": 20, "b": 40, "c": 29}  # t_max = 200 ms


def test_steps_are_computed_once_by_option():
    play = Play(SemiSynchronous(pace=2.0, recompute=False))
    first = play_round(play, 1, 1, TIMINGS)
    faster = TIMINGS | {"b": {"ms_per_batch": 5.0, "ms_per_epoch": 75.0}}
    assert play_round(play, 2, 4, faster) == first == {"a": 60, "b": 30, "c": 86}


def test_learner_that_joins_anew_has_its_steps_computed_anew_although_those_of_others_are_computed_once():
    play = Play(SemiSynchronous(recompute=False), here="a")
    assert play_round(play, 1, 1, {"a": TIMINGS["a"]}) == {"a": 10}
    play.tell(Departed("a"))
    assert steps(play.tell(Joined(Candidate("a")))) == {"a": None}
    assert play_round(play, 2, 3, {"a": {"ms_per_batch": 50.0, "ms_per_epoch": 500.0}}) == {"a": 2}


def test_joiner_makes_a_cold_start_and_one_that_joins_anew_does_too():
    play = Play(SemiSynchronous())
    play.tell(Joined(Candidate("d")))
    assert play_round(play, 1, 1, TIMINGS) == {"a": 30, "b": 15, "c": 43, "d": None}
    play.tell(Departed("a"))
    play.tell(Joined(Candidate("a")))
    timings = {"b": TIMINGS["b"], "c": TIMINGS["c"], "d": {"ms_per_batch": 3.0, "ms_per_epoch": 9.0}}
    assert play_round(play, 2, 5, timings) == {"a": None, "b": 15, "c": 43, "d": 100}


def test_learner_that_counts_no_epochs_has_its_time_per_epoch_scaled_with_its_batches():
    play = Play(SemiSynchronous(), here="a")
    assert play_round(play, 1, 1, {"a": {"ms_per_batch": 10.0, "ms_per_epoch": 100.0}}) == {"a": 10}
    assert play_round(play, 2, 2, {"a": {"ms_per_batch": 20.0}}) == {"a": 10}


def test_learner_without_timings_keeps_its_cold_start_and_holds_up_nobody():
    play = Play(SemiSynchronous())
    assert play_round(play, 1, 1, {"a": {}, "b": TIMINGS["a"], "c": {"ms_per_epoch": 1e6}}) == {"a": None, "b": 10, "c": None}


timing = st.floats(0.01, 1e5)


@settings(derandomize=True, database=None, max_examples=200)
@given(st.floats(0.01, 100.0), st.lists(st.tuples(timing, timing), min_size=1, max_size=20))
def test_steps_equal_the_formula(pace, timings):
    cohort = [Candidate(f"l{number}", ms_per_batch=batch, ms_per_epoch=epoch) for number, (batch, epoch) in enumerate(timings)]
    t_max = pace * max(epoch for _, epoch in timings)
    formula = {f"l{number}": min(STEPS_MAX, max(1, math.ceil(t_max / batch))) for number, (batch, _) in enumerate(timings)}
    assert EqualTime(pace, recompute=True).steps(cohort) == formula


@pytest.mark.parametrize("batch", [5e-324, 1e-9])
def test_lies_about_timings_are_bounded(batch):
    cohort = [Candidate("liar", ms_per_batch=batch, ms_per_epoch=1e308)]
    assert EqualTime(1e10, recompute=True).steps(cohort) == {"liar": STEPS_MAX}


@pytest.mark.parametrize("pace", [0.0, -1.0, math.nan, math.inf])
def test_impossible_pace_is_refused(pace):
    with pytest.raises(ConfigError, match="pace"):
        SemiSynchronous(pace=pace)
