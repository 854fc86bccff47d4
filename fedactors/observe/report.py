"""The report of a run, written as a page, as Markdown or as CSV; pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from fedactors.observe import figures
from fedactors.observe.account import Account
from fedactors.observe.chart import line_chart, stacked_bar
from fedactors.observe.page import page
from fedactors.observe.tables import Column, Kind, Table, plain, report_tables, shown

ROUNDS_SHOWN_MAX = 500
"""In a page or in Markdown; CSV has them all."""


def environment_table(environment: Mapping[str, Any]) -> Table:
    """What the run was run with; empty where that was not kept."""
    rows = [(name, str(value)) for name, value in environment.items() if name != "packages"]
    rows += environment.get("packages", {}).items()
    return Table("Environment", (Column("what"), Column("release")), rows)


def as_html(account: Account, environment: Mapping[str, Any], configuration: str) -> str:
    """One page that needs nothing else: no script, no file, no network."""
    summary, *others = report_tables(account)
    drawn = {"Time spent by phase": phases_bar(account)}
    sections = [
        section(summary.title, html_table(summary)),
        section("Curves", curves(account) or "<p>No round has ended.</p>"),
    ]
    sections += [section(table.title, drawn.get(table.title, "") + html_table(_cut(table)), table.note) for table in others]
    if environment:
        sections.append(section("Environment", html_table(environment_table(environment))))
    if configuration:
        text = f"<details><summary>As run, with every default</summary><pre>{escape(configuration)}</pre></details>"
        sections.append(section("Configuration", text))
    return page(f"Report of {account.name}", sections)


def curves(account: Account) -> str:
    """A chart for each metric, and one of how long rounds took."""
    rounds = account.rounds
    over = {name: [(r.round, r.metrics[name]) for r in rounds if name in r.metrics] for name in account.metric_names()}
    charts = [line_chart(name, "round", {name: points}) for name, points in over.items()]
    charts.append(line_chart("seconds of a round", "round", {"seconds": [(r.round, r.duration_s) for r in rounds]}))
    return f'<div class="charts">{"".join(f"<div>{chart}</div>" for chart in charts if chart)}</div>' if any(charts) else ""


def phases_bar(account: Account) -> str:
    """Where the time of a mean round went."""
    means = account.mean_phases_s()
    return stacked_bar("a mean round", means, {name: figures.duration(mean_s) for name, mean_s in means.items()})


def section(title: str, body: str, note: str = "") -> str:
    """A part of a page."""
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{said}{body}</section>"


def html_table(table: Table) -> str:
    """A table of a page."""
    numbers = [' class="number"' if column.kind is not Kind.TEXT else "" for column in table.columns]
    heads = "".join(f'<th scope="col"{number}>{escape(c.head)}</th>' for c, number in zip(table.columns, numbers, strict=True))
    rows = []
    for row in table.rows:
        cells = zip(row, table.columns, numbers, strict=True)
        rows.append("<tr>" + "".join(f"<td{number}>{escape(shown(cell, c.kind))}</td>" for cell, c, number in cells) + "</tr>")
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def as_markdown(account: Account, environment: Mapping[str, Any]) -> str:
    """The tables, for a merge request or a notebook."""
    tables = [*report_tables(account), environment_table(environment)]
    return "\n".join([f"# Report of {account.name}", *(markdown_table(_cut(table)) for table in tables if table.rows)])


def markdown_table(table: Table) -> str:
    """A table with its heading."""
    heads = [column.head for column in table.columns]
    rules = ["---" if column.kind is Kind.TEXT else "---:" for column in table.columns]
    rows = [[_cell(shown(cell, c.kind)) for cell, c in zip(row, table.columns, strict=True)] for row in table.rows]
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows)]
    return "\n".join([f"\n## {table.title}\n", *([f"{table.note}\n"] if table.note else []), *lines])


def as_csv(table: Table) -> str:
    """A table for programs: seconds, bytes and counts as plain numbers."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(_heads(table.columns))
    writer.writerows([plain(cell) for cell in row] for row in table.rows)
    return written.getvalue()


def _heads(columns: Iterable[Column]) -> list[str]:
    units = {Kind.SECONDS: "_s", Kind.BYTES: "_bytes"}
    return [column.head.replace(" ", "_") + units.get(column.kind, "") for column in columns]


def _cut(table: Table) -> Table:
    """A table of which the newest rows are shown, where there are too many to read."""
    if len(table.rows) <= ROUNDS_SHOWN_MAX:
        return table
    rows: Sequence[Sequence[Any]] = table.rows[-ROUNDS_SHOWN_MAX:]
    note = f"The last {len(rows):,} of {len(table.rows):,}; `--format csv` has them all. {table.note}"
    return Table(table.title, table.columns, rows, note.strip())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
