"""Selection policies."""

from collections import Counter

import numpy as np
import pytest

from fedactors import plugins
from fedactors.errors import ConfigError
from fedactors.selection.base import Candidate
from fedactors.selection.by_tag import ByTag
from fedactors.selection.everyone import Everyone
from fedactors.selection.oort import Oort
from fedactors.selection.power_of_choice import PowerOfChoice
from fedactors.selection.round_robin import RoundRobin
from fedactors.selection.uniform import Uniform
from fedactors.testing.conformance_selection import check_selection

POLICIES = [
    Everyone(),
    Uniform(fraction=0.1),
    Uniform(fraction=1.0),
    Uniform(count=1),
    Uniform(count=7),
    RoundRobin(count=1),
    RoundRobin(count=7),
    ByTag(("fast",)),
    ByTag(("fast", "big"), match="any", count=3),
    PowerOfChoice(count=1, candidates=1),
    PowerOfChoice(count=3, candidates=8),
    Oort(count=1),
    Oort(count=7, explore=0.5, explore_min=0.1),
    Oort(count=7, explore=0.0, explore_min=0.0, penalty=0.0),
]


def candidates(number):
    return [Candidate(f"l{n:02}") for n in range(number)]


def select(policy, number, seed=0):
    return policy.select(candidates(number), 1, np.random.default_rng(seed))


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_policy_conforms(policy):
    check_selection(policy)


def test_every_registered_policy_is_checked():
    checked = {type(policy) for policy in POLICIES}
    assert checked == {plugins.load("fedactors.selection", name) for name in plugins.names("fedactors.selection")}


def test_everyone_selects_all_in_order():
    assert select(Everyone(), 3) == ["l00", "l01", "l02"]


@pytest.mark.parametrize(("fraction", "of", "selected"), [(0.1, 30, 3), (0.5, 3, 2), (0.01, 10, 1), (1.0, 7, 7)])
def test_uniform_selects_a_fraction_and_at_least_one(fraction, of, selected):
    assert len(select(Uniform(fraction=fraction), of)) == selected


@pytest.mark.parametrize(("count", "of", "selected"), [(3, 10, 3), (3, 2, 2), (1, 1, 1)])
def test_uniform_selects_a_count_or_all_that_are_here(count, of, selected):
    assert len(select(Uniform(count=count), of)) == selected


def test_uniform_gives_every_learner_the_same_chance():
    times = Counter(learner for seed in range(2_000) for learner in select(Uniform(count=2), 5, seed))
    assert set(times) == {f"l{n:02}" for n in range(5)}
    assert all(720 < count < 880 for count in times.values()), times  # 800 each; five standard deviations are 110


def test_uniform_is_repeated_by_its_seed():
    assert select(Uniform(count=5), 50, seed=3) == select(Uniform(count=5), 50, seed=3) != select(Uniform(count=5), 50, seed=4)


@pytest.mark.parametrize(
    "options",
    [{}, {"fraction": 0.5, "count": 3}, {"fraction": 0.0}, {"fraction": 1.1}, {"fraction": float("nan")}, {"count": 0}],
    ids=str,
)
def test_impossible_options_are_refused_by_name(options):
    with pytest.raises(ConfigError, match="'uniform'"):
        Uniform(**options)


def test_conformance_finds_a_policy_that_selects_a_stranger():
    class Broken(Everyone):
        def select(self, candidates, round_, rng):
            return ["nobody"]

    with pytest.raises(AssertionError, match="not candidates"):
        check_selection(Broken())


def test_conformance_finds_a_policy_with_randomness_of_its_own():
    rng = np.random.default_rng(0)

    class Broken(Everyone):
        def select(self, candidates, round_, _):
            return [rng.choice([candidate.learner for candidate in candidates])]

    with pytest.raises(AssertionError, match="draw all that is random from rng"):
        check_selection(Broken())
