"""Which learner gives the initial weights."""

from __future__ import annotations

from typing import Any, cast

from fedactors.actors.initial_draw import InitialDraw
from fedactors.actors.messages import LearnerJoined
from fedactors.runtime import ActorRef
from fedactors.selection.base import Candidate

NOBODY = cast("ActorRef[Any]", None)  # nobody is told anything here


def joined(learner: str) -> LearnerJoined:
    return LearnerJoined(Candidate(learner, 1, frozenset()), 0, NOBODY)


def members(*learners: str) -> dict[str, LearnerJoined]:
    return {learner: joined(learner) for learner in learners}


def drawn(draw: InitialDraw, here: dict[str, LearnerJoined]) -> str:
    chosen = draw.draw(here)
    assert chosen is not None
    return chosen.candidate.learner


def test_a_run_that_is_repeated_draws_the_same_learner_in_whatever_order_they_joined():
    names = [f"learner-{number}" for number in range(20)]
    by_seed = [drawn(InitialDraw(seed), members(*names)) for seed in range(10)]
    assert by_seed == [drawn(InitialDraw(seed), members(*reversed(names))) for seed in range(10)]
    assert len(set(by_seed)) > 1, "another seed, another draw"


def test_one_that_declines_is_not_asked_again_until_all_is_forgiven():
    draw, here = InitialDraw(0), members("a", "b")
    first = drawn(draw, here)
    assert draw.decline(first, f"{first} has no data", here)
    second = drawn(draw, here)
    assert draw.decline(second, f"{second} has no data", here)
    assert draw.draw(here) is None
    assert draw.troubles == "a: a has no data; b: b has no data"
    draw.forgive()
    assert draw.draw(here) is not None


def test_only_the_one_that_was_drawn_can_decline():
    draw, here = InitialDraw(0), members("a", "b")
    assert not draw.decline("a", "nobody asked", here)
    other = "b" if drawn(draw, here) == "a" else "a"
    assert not draw.decline(other, "nobody asked", here)
    assert draw.is_out(here)
    assert draw.troubles == ""


def test_one_that_departs_and_joins_anew_is_asked_anew():
    draw, here = InitialDraw(0), members("a")
    assert not draw.is_out(here)
    draw.draw(here)
    assert draw.is_out(here)
    assert not draw.is_out({}), "it has departed"
    anew = members("a")
    anew["a"] = LearnerJoined(Candidate("a", 2, frozenset()), 0, NOBODY)
    assert not draw.is_out(anew)
    assert not draw.decline("a", "says the former connection", anew)
    assert drawn(draw, anew) == "a"
