"""`fedactors report` and `fedactors compare`, on a run of their own."""

from __future__ import annotations

import csv
import io

import pytest

from tests.cli.steady import refused, said, up


@pytest.fixture(scope="module")
def runs(place):
    return up(place, "one"), up(place, "two", "stop.rounds=3")


def test_a_report_is_written_beside_the_run_with_what_it_was_run_with(runs):
    assert said("report", runs[0]).startswith(str(runs[0] / "report.html"))
    html = (runs[0] / "report.html").read_text()
    assert "round 2 is committed, the last of 2" in html
    assert "numpy" in html
    assert "learning_rate = 1.0" in html


def test_tables_go_to_the_terminal_or_to_a_file(runs, tmp_path):
    assert said("report", runs[0], "--format", "markdown").startswith("# Report of one\n")
    rows = list(csv.DictReader(io.StringIO(said("report", runs[0], "--format", "csv"))))
    assert [row["round"] for row in rows] == ["1", "2"]
    said("report", runs[0], "--format", "csv", "--table", "learners", "-o", tmp_path / "learners.csv")
    assert (tmp_path / "learners.csv").read_text().startswith("learner,rounds,updates,")


def test_runs_are_compared_on_the_terminal_and_on_a_page(runs, tmp_path):
    text = said("compare", *runs, "-o", tmp_path / "both.html")
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line}
    assert lines["run"] == ["one", "two"]
    assert lines["rounds"] == ["2", "3"]
    assert lines["stop.rounds"] == ["2", "3"]
    assert "2 runs side by side" in (tmp_path / "both.html").read_text()


def test_what_is_no_run_is_one_line(runs, tmp_path):
    assert "there is no run in" in refused(2, "report", tmp_path)
    assert "name two or more" in refused(2, "compare", runs[0])
    (tmp_path / "events.jsonl").write_text("nonsense\n")
    assert "events.jsonl:1 is no event of this version" in refused(2, "report", tmp_path)
