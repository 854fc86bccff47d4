"""Everybody in turn."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from fedactors.errors import ConfigError
from fedactors.selection.base import Candidate
from fedactors.selection.round_robin import RoundRobin

RNG = np.random.default_rng(0)


def play(policy, candidates, rounds):
    """The cohorts of so many rounds; candidates are told that they took part."""
    given = itertools.count(100 * rounds[0])
    for round_ in rounds:
        cohort = policy.select([candidates[learner] for learner in sorted(candidates)], round_, RNG)
        for learner in cohort:
            candidates[learner] = replace(candidates[learner], last_round=round_, last_task=next(given))
        yield cohort


def named(names):
    return {name: Candidate(name) for name in names}


def test_ids_come_in_turn():
    cohorts = list(play(RoundRobin(count=2), named("abcde"), range(1, 6)))
    assert cohorts == [["a", "b"], ["c", "d"], ["e", "a"], ["b", "c"], ["d", "e"]]


@pytest.mark.parametrize(("count", "learners"), [(1, 7), (3, 7), (5, 7), (4, 8)])
def test_nobody_is_ever_more_than_one_turn_ahead(count, learners):
    candidates, times = named(f"l{n}" for n in range(learners)), Counter()
    for cohort in play(RoundRobin(count=count), candidates, range(1, 60)):
        times.update(cohort)
        assert max(times.values()) - min(times[learner] for learner in candidates) <= 1


def test_joiner_is_next():
    candidates = named("bcd")
    list(play(RoundRobin(), candidates, range(1, 3)))
    candidates["a"] = Candidate("a")
    assert list(play(RoundRobin(), candidates, range(3, 5))) == [["a"], ["d"]]


def test_all_take_part_where_fewer_are_here():
    assert RoundRobin(count=9).select([Candidate("a"), Candidate("b")], 1, RNG) == ["a", "b"]


def test_impossible_count_is_refused_by_name():
    with pytest.raises(ConfigError, match="'round_robin' has count=0"):
        RoundRobin(count=0)
