"""What people see of a run that was resumed."""

from __future__ import annotations

import copy
import json

import pytest
from rich.console import Console

from fedactors.driver.run_directory import RunDirectory
from fedactors.observe.board import Board
from fedactors.observe.display import Display
from fedactors.observe.summary import summary
from fedactors.record import EventKind, History
from tests.observe.story import Story, whole_run


def every_kind():
    """A run that was resumed, with at least one event of each kind."""
    story = Story()
    return [
        story.event("waiting", why="0 of 2 learners are here"),
        *story.joined("a", "b"),
        story.event("initialised", source="a", num_parameters=1, bytes=4),
        story.began(1, "a", "b"),
        story.accepted(1, "a", loss=0.5),
        story.event("resumed", lives=2, round=1, version=0),
        story.refused(1, "b", "layout"),
        story.committed(1),
        story.evaluated(1, "a", accuracy=0.5),
        story.ended(1, ["a", "b"], accuracy=0.5),
        story.began(2, "a", "b"),
        story.event("actor_failed", actor="/store", why="boom"),
        story.event("round_abandoned", round=2, why="nobody is left"),
        story.departed("b", "lost", "silent"),
        story.event("stopping", why="Ctrl-C"),
        story.finished(),
    ]


def test_the_run_of_these_tests_has_every_kind_of_event():
    assert {event.kind for event in every_kind()} == set(EventKind)


@pytest.mark.parametrize("kind", EventKind)
def test_the_board_tells_of_every_kind_of_event(kind):
    board = Board(rounds_total=2)
    for event in every_kind():
        before = copy.deepcopy(board)
        lines = board.apply(event)
        if event.kind is kind:
            assert lines or board != before


def test_every_event_is_a_line_of_the_run_directory(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    for event in every_kind():
        directory.write_event(event)
    directory.close()
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert kinds == [event.kind for event in every_kind()]


def resumed_run():
    """Two rounds and the end, then two more in a second life."""
    more = whole_run(rounds=4)
    begins = next(n for n, event in enumerate(more) if event.kind is EventKind.ROUND_BEGAN and event.body["round"] == 3)
    return [*whole_run(rounds=2), Story().event("resumed", lives=2, round=3, version=2), *more[begins:]]


def test_a_display_without_a_terminal_says_where_a_run_goes_on(capsys):
    with Display("digits", rounds_total=4, evaluate_every=1, console=Console(force_terminal=False, width=100)) as display:
        for event in resumed_run():
            display(event)
    lines = capsys.readouterr().out.splitlines()
    after = lines[lines.index(next(line for line in lines if "resumed" in line)) :]
    assert "resumed  version 2, goes on with round 3/4" in after[0]
    assert [line for line in after if "round 4/4 version 4" in line]


def test_a_board_counts_the_rounds_of_all_lives():
    board = Board(rounds_total=4)
    for event in resumed_run():
        board.apply(event)
    assert board.rounds_ended == 4


def test_the_summary_is_that_of_all_lives_and_of_the_last_end(tmp_path):
    history = History()
    for event in resumed_run()[:-1]:
        history.take(event)
    assert not history.finished, "what the first life said of its end is void"
    history.take(resumed_run()[-1])
    told = summary(history.results("digits", 7, None), tmp_path)
    assert "rounds      4 rounds in" in told
    assert told.splitlines()[0] == "digits      finished: 2 rounds are done"
