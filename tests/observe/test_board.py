from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedactors.observe.board import Board, Line, State, Weight
from fedactors.record import Event, EventKind, Totals
from tests.observe.story import Story, record


def apply(board: Board, *events: Event) -> list[Line]:
    return [line for event in events for line in board.apply(event)]


def states(board: Board) -> dict[str, str]:
    return {learner: row.state for learner, row in board.learners.items()}


def test_every_kind_of_event_is_understood() -> None:
    assert all(callable(getattr(Board, f"_on_{kind}")) for kind in EventKind)


def test_a_learners_state_follows_its_round() -> None:
    story, board = Story(), Board(rounds_total=2)
    apply(board, *story.joined("a", "b", "c"))
    assert states(board) == {"a": "waiting", "b": "waiting", "c": "waiting"}
    apply(board, story.began(1, "a", "b"))
    assert states(board) == {"a": "training", "b": "training", "c": "waiting"}
    apply(board, story.accepted(1, "a"), story.refused(1, "b", "layout"))
    assert states(board) == {"a": "uploaded", "b": "refused", "c": "waiting"}
    apply(board, story.committed(1))
    assert states(board)["a"] == "evaluating"
    apply(board, story.evaluated(1, "a", accuracy=0.5))
    assert states(board)["a"] == "evaluated"
    apply(board, story.departed("c", "lost"), story.departed("a", "left"), story.refused(1, "c", "learner_failed"))
    assert states(board) == {"a": "left", "b": "refused", "c": "lost"}
    apply(board, story.began(2, "b"))
    assert states(board) == {"a": "left", "b": "training", "c": "lost"}
    lines = apply(board, *story.joined("a"))
    assert states(board)["a"] == "waiting"
    assert lines[0].text.startswith("learner a is back")


@pytest.mark.parametrize(
    ("every", "round_", "evaluates"), [(1, 1, True), (2, 1, False), (2, 2, True), (0, 3, False), (2, 3, True)]
)
def test_a_commit_is_followed_by_an_evaluation_only_where_one_is_due(every: int, round_: int, evaluates: bool) -> None:
    story, board = Story(), Board(rounds_total=3, evaluate_every=every)
    apply(board, *story.joined("a"), story.began(round_, "a"), story.accepted(round_, "a"), story.committed(round_))
    assert board.learners["a"].state is (State.EVALUATING if evaluates else State.UPLOADED)


def test_a_late_evaluation_does_not_hide_that_its_learner_trains_again() -> None:
    story, board = Story(), Board()
    apply(board, *story.joined("a"), story.began(1, "a"), story.accepted(1, "a"), story.committed(1), story.began(2, "a"))
    apply(board, story.evaluated(1, "a", accuracy=0.5))
    assert board.learners["a"].state is State.TRAINING
    assert board.learners["a"].metrics == {"accuracy": 0.5}


def test_a_round_is_one_line_with_its_metrics_and_who_answered() -> None:
    story, board = Story(), Board(rounds_total=10)
    apply(board, *story.joined("a", "b"), story.began(3, "a", "b"), story.accepted(3, "a"))
    lines = apply(board, story.ended(3, ["a", "b"], duration_s=2.1, accuracy=0.9134, loss=0.41))
    assert lines == [Line(Weight.ROUND, "round 3/10 version 3  loss 0.41  accuracy 0.9134  2.1 s  1/2 learners")]
    assert (board.rounds_ended, board.metrics) == (1, {"accuracy": 0.9134, "loss": 0.41})


def test_bytes_and_seconds_are_known_for_each_learner() -> None:
    story, board = Story(step_s=0.5), Board()
    apply(board, *story.joined("a", examples=120), story.began(1, "a"), story.accepted(1, "a", examples=100))
    apply(board, story.ended(1, ["a"], bytes_up=1000, bytes_down=2000), story.ended(2, ["a"], bytes_up=1, bytes_down=2))
    row = board.learners["a"]
    assert (row.examples, row.train_s, row.bytes_up, row.bytes_down) == (100, 0.5, 1001, 2002)


def test_metrics_of_the_last_evaluated_round_stay() -> None:
    story, board = Story(), Board()
    apply(board, story.ended(1, ["a"], loss=0.5), story.ended(2, ["a"]))
    assert board.metrics == {"loss": 0.5}


def body(kind: str, **keys: Any) -> Event:
    return Event(0, 0.0, EventKind(kind), keys)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (body("waiting", why="0 of 3 are here"), Line(Weight.DETAIL, "waiting: 0 of 3 are here")),
        (
            body("learner_departed", learner="a", how="lost", why="silent for 5.0 s"),
            Line(Weight.WARNING, "learner a is lost: silent for 5.0 s"),
        ),
        (body("learner_departed", learner="a", how="left", why=""), Line(Weight.DETAIL, "learner a left")),
        (
            body("initialised", source="a", num_parameters=12_000, bytes=48_000),
            Line(Weight.DETAIL, "version 0 is from learner a  (12,000 parameters, 48.0 kB)"),
        ),
        (
            body("initialised", source="shipped", num_parameters=1, bytes=4),
            Line(Weight.DETAIL, "version 0 is from the file  (1 parameter, 4 B)"),
        ),
        (
            body("update_refused", round=2, learner="a", reason="not_finite", why="tensor 'w' holds NaN"),
            Line(Weight.WARNING, "round 2: learner a's update was refused (not_finite): tensor 'w' holds NaN"),
        ),
        (
            body("update_refused", round=0, learner="a", reason="unknown_task", why="a replay"),
            Line(Weight.WARNING, "learner a's update was refused (unknown_task): a replay"),
        ),
        (
            body("update_refused", round=2, learner="a", reason="learner_failed", why="ValueError: no"),
            Line(Weight.WARNING, "round 2: learner a failed: ValueError: no"),
        ),
        (body("round_abandoned", round=2, why="nobody is left"), Line(Weight.WARNING, "round 2 was abandoned: nobody is left")),
        (body("actor_failed", actor="/store", why="boom"), Line(Weight.WARNING, "/store failed: boom")),
        (body("resumed", lives=2, round=4, version=3), Line(Weight.ROUND, "resumed  version 3, goes on with round 4")),
        (body("resumed", lives=2, round=1, version=None), Line(Weight.ROUND, "resumed  no version yet, goes on with round 1")),
        (body("stopping", why="Ctrl-C"), Line(Weight.DETAIL, "stopping: Ctrl-C")),
        (body("finished", stop_reason="done", version=1, failed=False), Line(Weight.DETAIL, "finished: done")),
        (body("finished", stop_reason="nobody", version=1, failed=True), Line(Weight.FAILURE, "failed: nobody")),
    ],
)
def test_what_matters_deserves_a_line(event: Event, line: Line) -> None:
    assert Board().apply(event) == [line]


def test_learners_that_are_too_many_to_be_told_of_change_their_state_together() -> None:
    story, board = Story(), Board(rounds_total=2)
    apply(board, *story.joined("a", "b", "c"), story.departed("c", "lost"))
    apply(board, story.event("round_began", round=1, version=0, cohort=[], learners=2))
    assert board.counts() == {State.TRAINING: 2, State.LOST: 1}
    apply(board, story.committed(1))
    assert board.counts() == {State.EVALUATING: 2, State.LOST: 1}
    totals = Totals(learners=200_000, accepted=150_000)
    (line,) = apply(board, story.event("round_ended", record=replace(record(1, ()), totals=totals).to_map()))
    assert line.text.endswith("150,000/200,000 learners")
    assert board.counts() == {State.EVALUATED: 2, State.LOST: 1}
