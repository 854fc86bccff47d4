"""Power of choice against its probabilities, written out."""

import itertools
from collections import Counter

import numpy as np
import pytest

from fedactors.errors import ConfigError
from fedactors.selection.base import Candidate
from fedactors.selection.power_of_choice import PowerOfChoice

DRAWS = 8_000
FIVE_DEVIATIONS = 5 * 0.5 / DRAWS**0.5


def frequencies(policy, candidates):
    times = Counter()
    rng = np.random.default_rng(1)
    for _ in range(DRAWS):
        times.update(policy.select(candidates, 1, rng))
    return {candidate.learner: times[candidate.learner] / DRAWS for candidate in candidates}


def probabilities(candidates, count, drawn):
    """Each learner's chance: over every ordered draw without replacement by size, the `count` with the largest loss."""
    total = dict.fromkeys((candidate.learner for candidate in candidates), 0.0)
    for order in itertools.permutations(candidates, drawn):
        chance, left = 1.0, sum(candidate.num_examples for candidate in candidates)
        for candidate in order:
            chance *= candidate.num_examples / left
            left -= candidate.num_examples
        for winner in sorted(order, key=lambda candidate: -candidate.loss)[:count]:
            total[winner.learner] += chance
    return total


@pytest.mark.parametrize(("count", "drawn"), [(1, 1), (1, 2), (2, 3), (1, 4), (3, 4)])
def test_frequencies_equal_the_probabilities_of_the_paper(count, drawn):
    sizes, losses = (10, 40, 20, 30), (0.5, 0.1, 2.0, 1.0)
    candidates = [Candidate(f"l{n}", size, loss=loss) for n, (size, loss) in enumerate(zip(sizes, losses, strict=True))]
    expected = probabilities(candidates, count, drawn)
    found = frequencies(PowerOfChoice(count=count, candidates=drawn), candidates)
    assert found == pytest.approx(expected, abs=FIVE_DEVIATIONS)


def test_learners_that_were_never_tried_come_first():
    candidates = [Candidate("a", 10, loss=9.0), Candidate("b", 10), Candidate("c", 10, loss=1.0)]
    assert PowerOfChoice(count=1, candidates=3).select(candidates, 1, np.random.default_rng(0)) == ["b"]


def test_equal_losses_have_equal_chances():
    found = frequencies(PowerOfChoice(count=1, candidates=4), [Candidate(f"l{n}", 10) for n in range(4)])
    assert found == pytest.approx(dict.fromkeys(found, 0.25), abs=FIVE_DEVIATIONS)


def test_learners_that_declare_no_size_have_equal_chances_where_nobody_does():
    candidates = [Candidate(f"l{n}", loss=float(n)) for n in range(4)]
    found = frequencies(PowerOfChoice(count=1, candidates=2), candidates)
    assert found == pytest.approx({"l0": 0.0, "l1": 1 / 6, "l2": 2 / 6, "l3": 3 / 6}, abs=FIVE_DEVIATIONS)


def test_learner_without_data_is_drawn_only_to_fill_up():
    candidates = [Candidate("a", 0, loss=9.0), Candidate("b", 10, loss=1.0), Candidate("c", 10, loss=2.0)]
    assert PowerOfChoice(count=1, candidates=2).select(candidates, 1, np.random.default_rng(0)) == ["c"]
    assert PowerOfChoice(count=1, candidates=3).select(candidates, 1, np.random.default_rng(0)) == ["a"]


@pytest.mark.parametrize("options", [{"count": 0, "candidates": 1}, {"count": 3, "candidates": 2}], ids=str)
def test_impossible_options_are_refused_by_name(options):
    with pytest.raises(ConfigError, match="'power_of_choice'"):
        PowerOfChoice(**options)
