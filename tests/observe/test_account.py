from __future__ import annotations

import math

import pytest

from fedactors.observe.account import Account
from tests.observe.story import Story, whole_run


def test_a_run_s_account_is_what_its_events_come_to():
    account = Account.of("digits", whole_run())
    assert (account.state, len(account.rounds), account.accepted) == ("finished: 2 rounds are done", 2, 5)
    assert account.history.metrics == {"loss": 0.25, "accuracy": 0.75}
    assert account.best() == {"loss": 0.25, "accuracy": 0.75}
    assert account.duration_s == pytest.approx(0.1 * (len(whole_run()) - 1))
    assert account.mean_phases_s() == {"dispatch": 0.004, "train": 0.8, "combine": 0.002, "evaluate": 0.1}


def test_a_learner_s_part_is_counted_and_timed():
    learners = Account.of("digits", whole_run()).learners
    a, b, c = learners["a"], learners["b"], learners["c"]
    assert (a.rounds, a.updates, a.examples, a.bytes_up) == (2, 2, 200, 8000)
    assert (c.updates, c.refused, c.trouble) == (1, {"layout": 1}, "layout: because")
    assert a.arrivals_s == pytest.approx([0.1, 0.1])
    assert b.median_s == pytest.approx(0.2)
    assert (a.last_in, b.last_in, c.last_in) == (0, 1, 1), "c was the last of round 1, b of round 2"


def test_losses_abandoned_rounds_failures_and_lives_are_counted():
    story = Story()
    events = [
        *story.joined("a"),
        story.departed("a", "lost", "silent"),
        story.departed("a", "left"),
        story.event("round_abandoned", round=1, why="x"),
        story.event("actor_failed", actor="/controller", why="x"),
        story.event("resumed", lives=2, round=1, version=None),
    ]
    account = Account.of("digits", events)
    assert (account.learners["a"].losses, account.learners["a"].trouble) == (1, "lost: silent")
    assert (account.abandoned, account.failures, account.lives, account.state) == (1, 1, 2, "not finished")


def test_the_best_of_a_metric_is_the_least_loss_and_the_greatest_accuracy():
    story = Story()
    values = [(0.5, 0.9), (0.4, 0.7), (math.nan, 0.8)]
    events = [story.ended(n, ["a"], loss=loss, accuracy=accuracy) for n, (loss, accuracy) in enumerate(values, 1)]
    assert Account.of("x", events).best() == {"loss": 0.4, "accuracy": 0.9}


def test_an_account_of_nothing_is_empty():
    account = Account.of("x", [])
    assert (account.rounds, account.mean_phases_s(), account.best(), account.duration_s) == ([], {}, {}, 0.0)
