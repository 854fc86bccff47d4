"""Oort against its formulas, written out."""

import math
from collections import Counter

import numpy as np
import pytest

from fedactors.errors import ConfigError
from fedactors.selection.base import Candidate
from fedactors.selection.oort import Oort

GREEDY = {"explore": 0.0, "explore_min": 0.0}


def known(name, loss, *, examples=10, duration_s=1.0, last_round=1):
    return Candidate(name, examples, loss=loss, duration_s=duration_s, last_round=last_round)


def times(policy, candidates, draws=2_000, round_=1):
    rng = np.random.default_rng(1)
    return Counter(learner for _ in range(draws) for learner in policy.select(candidates, round_, rng))


def test_utilities_equal_the_formula():
    rng = np.random.default_rng(7)
    tried = [
        known(f"l{n}", float(rng.random()), examples=int(rng.integers(1, 99)), duration_s=float(rng.random()), last_round=1 + n)
        for n in range(40)
    ]
    raw = [candidate.num_examples * candidate.loss for candidate in tried]
    clipped = [min(value, np.quantile(raw, 0.95)) for value in raw]
    preferred_s = np.quantile([candidate.duration_s for candidate in tried], 0.8)
    for candidate, value, found in zip(tried, clipped, Oort(count=1).utilities(tried, 50), strict=True):
        utility = (value - min(clipped)) / (max(clipped) - min(clipped)) + math.sqrt(0.1 * math.log(50) / candidate.last_round)
        if candidate.duration_s > preferred_s:
            utility *= (preferred_s / candidate.duration_s) ** 2.0
        assert found == pytest.approx(utility, rel=1e-12)


def test_the_share_epsilon_is_drawn_from_who_was_not_tried():
    candidates = [known(f"old{n}", 1.0) for n in range(10)] + [Candidate(f"young{n}") for n in range(10)]
    cohort = Oort(count=10, explore=0.3, explore_decay=1.0).select(candidates, 5, np.random.default_rng(0))
    assert sum(learner.startswith("young") for learner in cohort) == 3


def test_epsilon_decays_down_to_its_least():
    candidates = [known(f"old{n:02}", 1.0) for n in range(20)] + [Candidate(f"young{n:02}") for n in range(20)]
    policy = Oort(count=20, explore=0.8, explore_decay=0.5, explore_min=0.1)
    shares = [
        sum(learner.startswith("young") for learner in policy.select(candidates, round_, np.random.default_rng(0)))
        for round_ in (1, 2, 3, 9)
    ]
    assert shares == [16, 8, 4, 2]


def test_useful_learners_take_the_round():
    candidates = [known("a", 5.0), known("b", 0.1), known("c", 4.9), known("d", 0.2)]
    assert set(times(Oort(count=2, **GREEDY), candidates)) == {"a", "c"}


def test_learners_near_the_last_place_are_drawn_by_utility():
    candidates = [known("a", 1.0), known("b", 0.99), known("c", 0.98), known("z", 0.0)]
    found = times(Oort(count=1, **GREEDY), candidates)
    assert set(found) == {"a", "b", "c"}
    assert all(count > 500 for count in found.values())


def test_slow_learners_lose_by_the_square_of_their_slowness():
    candidates = [known(f"fast{n}", 1.0) for n in range(8)] + [known("slow", 1.0, duration_s=10.0)]
    utilities = Oort(count=1).utilities(candidates, 1)
    assert utilities[-1] == pytest.approx(utilities[0] / 100)
    assert "slow" not in times(Oort(count=4, **GREEDY), candidates)
    assert times(Oort(count=4, penalty=0.0, **GREEDY), candidates)["slow"] > 500


def test_learners_that_were_long_not_asked_come_back():
    candidates = [known("a", 1.0, last_round=1), known("b", 1.0, last_round=99)]
    assert set(times(Oort(count=1, **GREEDY), candidates, round_=100)) == {"a"}


def test_everybody_has_the_same_chance_where_nobody_reports_a_loss():
    found = times(Oort(count=2), [Candidate(f"l{n}") for n in range(5)])
    assert all(720 < count < 880 for count in found.values()), found


@pytest.mark.parametrize(
    "options",
    [
        {"count": 0},
        {"explore": 1.5},
        {"explore_decay": 0.0},
        {"explore_min": 0.95},
        {"penalty": -1.0},
        {"preferred_percentile": 0.0},
    ],
    ids=str,
)
def test_impossible_options_are_refused_by_name(options):
    with pytest.raises(ConfigError, match=f"'oort' has {next(iter(options))}="):
        Oort(**{"count": 1} | options)
