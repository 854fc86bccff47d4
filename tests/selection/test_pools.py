"""How policies choose where learners train without rounds in step: one of those that are idle, at each update."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from fedactors.scheduling.idle import Asked
from fedactors.selection.base import Candidate, Pool
from fedactors.selection.by_tag import ByTag
from fedactors.selection.everyone import Everyone
from fedactors.selection.oort import Oort
from fedactors.selection.power_of_choice import PowerOfChoice
from fedactors.selection.round_robin import RoundRobin
from fedactors.selection.uniform import Uniform
from fedactors.selection.weights import Weights


def filled(pool: Pool | None, *candidates: Candidate) -> Pool:
    assert pool is not None
    for candidate in candidates:
        pool.add(candidate)
    return pool


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def frequencies(pool: Pool, candidates: list[Candidate], draws: int = 4_000) -> Counter[str]:
    """How often each learner is drawn, one at a time from all."""
    known, source, drawn = {candidate.learner: candidate for candidate in candidates}, rng(), Counter[str]()
    filled(pool, *candidates)
    for _ in range(draws):
        (learner,) = pool.draw(1, 5, source)
        drawn[learner] += 1
        pool.add(known[learner])
    return drawn


def test_everyone_is_given_a_task_in_the_order_of_becoming_idle():
    pool = filled(Everyone().pool(), *map(Candidate, "cab"))
    pool.discard("a")
    pool.add(Candidate("a"))
    assert pool.draw(5, 1, rng()) == ["c", "b", "a"]


def test_uniform_draws_everybody_alike():
    drawn = frequencies(Uniform(count=1).pool(), [Candidate(name) for name in "abcd"])
    assert all(count == pytest.approx(1_000, rel=0.12) for count in drawn.values())


def test_by_tag_takes_those_that_declared_it():
    policy = ByTag(tags=("gpu", "fast"), match="any", count=2)
    assert [policy.takes(Candidate("x", tags=frozenset(tags))) for tags in ((), ("gpu",), ("fast", "old"))] == [False, True, True]
    assert not ByTag(tags=("gpu", "fast")).takes(Candidate("x", tags=frozenset({"gpu"})))
    assert (policy.size(5), policy.size(1), ByTag(tags=("gpu",)).size(5)) == (2, 1, 5)


def test_round_robin_goes_by_the_last_task_whatever_the_order_of_becoming_idle():
    pool = filled(RoundRobin().pool(), Candidate("a", last_task=3), Candidate("b", last_task=2), Candidate("c"))
    pool.add(Candidate("b", last_task=9))
    assert pool.draw(1, 1, rng()) == ["c"]
    assert pool.draw(9, 1, rng()) == ["a", "b"]


def test_a_heap_of_turns_holds_no_more_than_a_few_times_its_learners():
    pool = RoundRobin().pool()
    for task in range(10_000):
        pool.add(Candidate(f"learner-{task % 10}", last_task=task))
        if task % 3 == 0:
            pool.discard(f"learner-{task % 10}")
    assert len(pool._heap) < 200  # type: ignore[attr-defined]  # what it costs stands nowhere else


def test_power_of_choice_takes_the_largest_loss_of_those_that_it_draws():
    policy = PowerOfChoice(count=1, candidates=4)
    candidates = [Candidate(name, 10, loss=loss) for name, loss in (("a", 0.1), ("b", 0.9), ("c", 0.5), ("d", 0.2))]
    assert filled(policy.pool(), *candidates).draw(4, 1, rng()) == ["b", "c", "d", "a"]
    assert filled(policy.pool(), *candidates, Candidate("new", 10)).draw(1, 1, rng(3)) in (["new"], ["b"])


def test_power_of_choice_draws_by_the_size_of_the_data_and_those_without_last():
    policy = PowerOfChoice(count=1, candidates=1)
    drawn = frequencies(policy.pool(), [Candidate("a", 10), Candidate("b", 30), Candidate("none", 0)])
    assert drawn["none"] == 0
    assert drawn["b"] / drawn["a"] == pytest.approx(3.0, rel=0.15)
    assert filled(policy.pool(), Candidate("none", 0), Candidate("a", 10)).draw(2, 1, rng()) == ["a", "none"]


def test_oort_explores_its_share_and_else_draws_by_utility():
    policy = Oort(count=10, explore=0.2, explore_decay=1.0, explore_min=0.2)
    tried = [Candidate(f"tried-{n}", 10, loss=loss, last_round=1) for n, loss in enumerate((0.0, 1.0, 1.0, 1.0))]
    drawn = frequencies(policy.pool(), [*tried, *(Candidate(f"new-{n}", 10) for n in range(6))])
    new = sum(count for learner, count in drawn.items() if learner.startswith("new"))
    assert new / drawn.total() == pytest.approx(0.6, abs=0.05), "of ten, four are tried, so six explore"
    assert drawn["tried-1"] > 2 * drawn["tried-0"]


def test_oort_leaves_out_those_that_come_not_near_the_best():
    policy = Oort(count=2, explore=0.0, explore_min=0.0)
    candidates = [Candidate(f"learner-{n:02}", 10, loss=float(n), last_round=3) for n in range(20)]
    drawn = frequencies(policy.pool(), candidates)
    assert set(drawn) <= {"learner-16", "learner-17", "learner-18", "learner-19"}


def test_oort_knows_a_loss_that_came_later():
    policy = Oort(count=1, explore=0.0, explore_min=0.0)
    pool = filled(policy.pool(), *(Candidate(name, 10, loss=0.1, last_round=1) for name in "abc"))
    pool.add(Candidate("b", 10, loss=9.0, last_round=1))
    assert pool.draw(1, 1, rng()) == ["b"]


def test_a_policy_without_a_pool_is_asked_for_each():
    pool = filled(Asked(RoundRobin(count=1)), Candidate("a", last_task=2), Candidate("b", last_task=1))
    assert pool.draw(1, 1, rng()) == ["b"]
    assert (len(pool), pool.draw(3, 1, rng())) == (1, ["a"])


def test_weights_are_drawn_in_proportion_however_often_they_changed():
    weights, source, order = Weights(), rng(), random.Random(1)
    held: dict[str, float] = {}
    for step in range(3_000):
        name = f"learner-{order.randrange(40)}"
        if step % 3 and name in held:
            weights.discard(name)
            del held[name]
        else:
            held[name] = order.random()
            weights.put(name, held[name])
        assert weights.total == pytest.approx(sum(held.values()))
    assert len(weights) == len(held)
    drawn: Counter[str] = Counter()
    for _ in range(5_000):
        learner = weights.draw_one(source)
        drawn[learner] += 1
        weights.put(learner, held[learner])
    most = max(held, key=lambda name: held[name])
    assert drawn[most] / 5_000 == pytest.approx(held[most] / sum(held.values()), rel=0.25)


def test_no_weight_is_never_drawn():
    weights, source = Weights({"none": 0.0, "a": 1.0, "b": 1e-300}), rng()
    assert {weights.draw_one(source), weights.draw_one(source)} == {"a", "b"}
    assert weights.total == 0
