"""Pauses between attempts: they grow, they have an end, and no two learners keep the same ones."""

from __future__ import annotations

import itertools
import random

from fedactors.learner.line import DELAY_MAX_S, DELAY_MIN_S, delays


def drawn(seed, count=12):
    return list(itertools.islice(delays(random.Random(seed)), count))


def test_pauses_grow_up_to_a_limit():
    for seed in range(20):
        pauses = drawn(seed)
        for number, pause_s in enumerate(pauses):
            middle_s = min(DELAY_MIN_S * 2**number, DELAY_MAX_S)
            assert 0.5 * middle_s <= pause_s <= 1.5 * middle_s


def test_the_first_attempts_of_a_thousand_learners_are_scattered():
    first_s = sorted(drawn(seed, 1)[0] for seed in range(1000))
    assert first_s[-1] - first_s[0] > 0.9 * DELAY_MIN_S
    in_ten_ms = max(sum(start <= at < start + 0.01 for at in first_s) for start in first_s)
    assert in_ten_ms < 100, "no more than a tenth of them comes within 10 ms"


def test_pauses_are_repeated_by_their_seed():
    assert drawn(1) == drawn(1) != drawn(2)
