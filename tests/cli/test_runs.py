"""`fedactors runs ls`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from fedactors.cli import main
from fedactors.cli.runs import STATES
from fedactors.driver.saved_runs import State
from tests.driver.test_saved_runs import write
from tests.observe.story import Story, whole_run


def ls(*arguments: str):
    return CliRunner().invoke(main, ["runs", "ls", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "digits-20260101-120000", *whole_run())
    write(tmp_path / "digits-cut", *whole_run(rounds=1)[:-1], config='name = "digits"\n')
    write(tmp_path / "torn", *whole_run(), config="name = ")
    return tmp_path


def test_a_run_is_a_line_with_its_rounds_state_and_metrics(folder):
    result = ls(folder)
    assert result.exit_code == 0
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["run", "started", "rounds", "state", "size", "metrics"]
    cells = {line.split()[0]: line for line in lines}
    assert "2/9  finished" in cells["digits-20260101-120000"]
    assert cells["digits-20260101-120000"].endswith("  loss 0.25  accuracy 0.75")
    assert "  1  resumable" in cells["digits-cut"]
    assert "-  damaged" in cells["torn"]
    assert "its config.toml cannot" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_many_metrics_go_on_in_the_next_line_and_none_is_torn_from_its_value(tmp_path):
    metrics = {f"recall_of_class_{number}": number / 7 for number in range(6)}
    write(tmp_path / "run", Story().ended(1, ["a"], **metrics))
    head, *lines = ls(tmp_path).stdout.splitlines()
    assert len(lines) > 1
    assert all(line.startswith(" " * head.index("metrics") + "recall_of_class_") for line in lines[1:])
    assert max(map(len, lines)) <= 100


def test_json_has_everything_that_is_known(folder):
    runs = {run["path"].split("/")[-1]: run for run in json.loads(ls(folder, "--json").stdout)}
    assert runs["digits-20260101-120000"]["metrics"] == {"loss": 0.25, "accuracy": 0.75}
    assert runs["digits-20260101-120000"]["rounds_total"] == 9
    assert runs["digits-cut"] | {"nbytes": 0} == {
        "path": str(folder / "digits-cut"), "state": "resumable", "name": "digits", "rounds": 1, "rounds_total": None,
        "started_at": "1970-01-01T00:16:40.100000+00:00", "metrics": {"loss": 0.5, "accuracy": 0.5}, "why": "", "nbytes": 0,
    }  # fmt: skip
    assert runs["torn"]["why"].startswith("its config.toml cannot be read")


def test_a_metric_that_is_no_number_is_shown_as_such(tmp_path):
    write(tmp_path / "run", Story().ended(1, ["a"], loss=float("inf")))
    assert ls(tmp_path).stdout.splitlines()[-1].endswith("loss nan")


def test_where_there_is_no_run_that_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ls().stdout == "there is no run in runs\n"
    assert ls("--json").stdout == "[]\n"
    result = ls("nowhere")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: there is no directory nowhere")


def test_the_help_explains_every_state():
    said = ls("--help").stdout
    assert list(STATES) == list(State)
    for state, meaning in STATES.items():
        assert f"{state:<10}  {meaning}" in said
