"""Where epsilon is told: on the board, in the summary, by `fedactors check`; and what a secret draw asks of a schedule."""

import itertools
from pathlib import Path

from click.testing import CliRunner

from fedactors.cli.check import check
from fedactors.observe.board import Board
from fedactors.observe.summary import summary
from fedactors.record import Event, EventKind, Phases, Results, RoundRecord
from fedactors.scheduling.base import Terms
from fedactors.selection.uniform import Uniform

RECORD = RoundRecord(1, 1, "1970-01-01T00:01:40+00:00", 1.5, Phases(0, 0, 0, 0), (), {}, {}, epsilon=3.14159)


def test_a_round_s_line_and_the_board_tell_epsilon():
    board = Board()
    (line,) = board.apply(Event(0, 0.0, EventKind.ROUND_ENDED, {"record": RECORD.to_map()}))
    assert line.text.endswith("epsilon 3.142")
    assert board.epsilon == 3.14159


def test_the_summary_tells_what_is_spent(tmp_path):
    assert "privacy     epsilon 3.142 is spent" in summary(Results("x", 1, "done", False, (RECORD,), None), tmp_path)


def test_a_record_without_an_account_is_told_as_before():
    plain = RoundRecord(1, 1, RECORD.started_at, 1.5, RECORD.phases, (), {}, {})
    (line,) = Board().apply(Event(0, 0.0, EventKind.ROUND_ENDED, {"record": plain.to_map()}))
    assert "epsilon" not in line.text
    assert RoundRecord.from_map({key: value for key, value in plain.to_map().items() if key != "epsilon"}) == plain


def test_check_says_what_is_asked_for(tmp_path: Path):
    file = tmp_path / "federation.toml"
    file.write_text('[stop]\nrounds = 100\n[dp]\nmechanism = "central"\nnoise_multiplier = 20.0\nclip_norm = 0.5\n')
    said = CliRunner().invoke(check, [str(file)]).output
    assert "dp            central, noise 20, clip 0.5, epsilon 2.17 after 100 rounds at delta 1e-05" in said
    file.write_text('[dp]\nmechanism = "central"\n')
    wrong = CliRunner().invoke(check, [str(file)])
    assert f"{file}:1: dp.mechanism = 'central' needs dp.clip_norm" in str(wrong.exception or wrong.output)


def terms(**options) -> Terms:
    return Terms(Uniform(fraction=0.5), 7, itertools.repeat("task"), min_learners=5, **options)


def test_every_round_of_a_secret_draw_waits_for_as_many_learners():
    assert [terms().learners_needed(round_) for round_ in (1, 2)] == [5, 1]
    assert [terms(min_always=True).learners_needed(round_) for round_ in (1, 2)] == [5, 5]


def test_a_secret_draw_has_a_seed_of_its_own():
    drawn = [terms(selection_seed=seed).rng(1).random() for seed in (None, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]
