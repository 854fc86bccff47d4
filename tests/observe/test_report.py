from __future__ import annotations

import csv
import io
import math
from html.parser import HTMLParser

import pytest

from fedactors.observe import report
from fedactors.observe.account import Account
from fedactors.observe.chart import POINTS_MAX, Scale, line_chart, stacked_bar
from fedactors.observe.comparison import as_html as compared
from fedactors.observe.comparison import outcome_table, over_time, settings_table
from fedactors.observe.report import as_csv, as_html, as_markdown
from fedactors.observe.tables import learners_table, rounds_table
from tests.observe.story import Story, whole_run

VOID = {"meta", "circle", "line", "rect", "polyline"}
ENVIRONMENT = {"python": "3.11.2", "cores": 2, "packages": {"numpy": "2.1"}}


class Document(HTMLParser):
    """Checks that what is opened is closed, and gathers tags, what they refer to, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.referred: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.referred += [value for name, value in attributes if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def account():
    return Account.of("digits", whole_run())


def test_a_report_is_one_page_that_refers_to_nothing_and_runs_nothing(account):
    document = Document(as_html(account, ENVIRONMENT, 'name = "digits"'))
    assert document.referred == []
    assert "script" not in document.tags
    assert document.tags.count("svg") > 3
    for said in ("Report of digits", "finished: 2 rounds are done", "layout: because", "numpy", 'name = "digits"', "loss", "c"):
        assert said in document.text, said


def test_what_learners_say_is_text_and_no_markup():
    story = Story()
    events = [*story.joined("<b>a"), story.refused(1, "<b>a", "layout", "<script>x</script>")]
    ended = story.ended(1, ["<b>a"], **{"<i>loss": 1.0})
    document = Document(as_html(Account.of("</title><x>", [*events, ended]), {}, ""))
    assert not {"b", "i", "x", "script"} & set(document.tags)
    assert "layout: <script>x</script>" in document.text


def test_markdown_has_every_table_with_as_many_cells_as_heads(account):
    text = as_markdown(account, ENVIRONMENT)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Report of digits", "## Summary", "## Time spent by phase", "## Learners", "## Rounds", "## Environment",
    ]  # fmt: skip
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in rows}) <= 1, block


def test_csv_has_plain_numbers_with_their_units(account):
    rows = list(csv.DictReader(io.StringIO(as_csv(rounds_table(account)))))
    assert (rows[0]["round"], rows[0]["took_s"], rows[0]["received_bytes"], rows[0]["loss"]) == ("1", "1.0", "12000", "0.5")
    learners = {row["learner"]: row for row in csv.DictReader(io.StringIO(as_csv(learners_table(account))))}
    assert (learners["c"]["updates"], learners["c"]["refused"], float(learners["a"]["share"])) == ("1", "1", 0.4)


def test_a_value_that_is_no_number_is_left_out_of_csv_and_curves():
    story = Story()
    account = Account.of("x", [story.ended(1, ["a"], loss=math.nan), story.ended(2, ["a"], loss=0.5)])
    assert as_csv(rounds_table(account)).splitlines()[1].endswith(",")
    assert 'aria-label="loss by round: loss ends at 0.5"' in report.curves(account)


def test_of_many_rounds_a_page_shows_the_last(account, monkeypatch):
    monkeypatch.setattr(report, "ROUNDS_SHOWN_MAX", 1)
    text = as_markdown(account, {})
    assert "The last 1 of 2; `--format csv` has them all." in text
    assert "| 1 | 1 | 1.0 s" not in text


def test_a_report_of_a_run_that_has_just_begun_is_written():
    document = Document(as_html(Account.of("x", Story().joined("a")), {}, ""))
    assert "No round has ended." in document.text


def test_learners_are_in_their_natural_order():
    account = Account.of("x", Story().joined("l10", "l2", "l1"))
    assert [row[0] for row in learners_table(account).rows] == ["l1", "l2", "l10"]


@pytest.mark.parametrize("values", [[0.0, 1.0], [5.0], [0.0], [-3.0, 1e9], [1e-9, 2e-9]])
def test_a_scale_has_a_few_round_ticks_within_it(values):
    scale = Scale.over(values, 0, 100)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 10
    assert all(scale.low <= tick <= scale.high for tick in ticks)
    assert all(0 < scale(value) < 100 for value in values)


def test_a_long_line_is_thinned_and_keeps_its_end():
    chart = line_chart("loss", "round", {"a": [(n, float(n)) for n in range(10 * POINTS_MAX)]})
    assert chart.count(",") <= POINTS_MAX + 10
    assert f"ends at {10 * POINTS_MAX - 1:.4g}" in chart


def test_charts_of_nothing_are_nothing():
    assert line_chart("loss", "round", {"a": [(1, math.inf)]}) == ""
    assert stacked_bar("x", {"a": 0.0}, {"a": "0 s"}) == ""


def test_runs_are_compared_by_outcome_settings_and_curves():
    runs = [Account.of("one", whole_run()), Account.of("two", whole_run(rounds=1))]
    table = outcome_table(runs)
    heads = [column.head for column in table.columns]
    assert [dict(zip(heads, row, strict=True))["last loss"] for row in table.rows] == [0.25, 0.5]
    configurations = [
        {"name": "d", "stop": {"rounds": 2}, "base_dir": "/a"},
        {"name": "d", "stop": {"rounds": 1}, "base_dir": "/b"},
    ]
    assert settings_table(["one", "two"], configurations).rows == [("stop.rounds", "2", "1")]
    document = Document(compared(runs, configurations))
    assert {"one", "two", "stop.rounds", "2 runs side by side"} <= set(document.text)


def test_curves_over_time_begin_with_the_first_round():
    assert list(over_time(Account.of("x", whole_run()), "loss")) == [(1.0, 0.5), (3.0, 0.25)]
