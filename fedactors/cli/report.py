"""`fedactors report`: what came of a run, as one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli import options

if TYPE_CHECKING:
    from fedactors.observe.account import Account
    from fedactors.observe.tables import Table

FORMATS = ("html", "markdown", "csv")
TABLES = ("rounds", "learners", "phases")


@click.command(short_help="Write a report of a run: one HTML page, Markdown, or CSV.")
@click.argument("run", callback=options.as_path)
@click.option("--format", "form", type=click.Choice(FORMATS), default="html", show_default=True, help="What to write.")
@click.option("--table", type=click.Choice(TABLES), default="rounds", show_default=True, help="Which table, as CSV.")
@click.option(
    "--output",
    "-o",
    callback=options.as_path,
    metavar="FILE",
    help="Where to write it.  [default: RUN/report.html; else the terminal]",
)
@options.debug
def report(run: Path, form: str, table: str, output: Path | None) -> None:
    """Write what came of RUN, a run's directory: curves, each learner's part, time by phase, who was waited for, bytes, releases.

    The HTML page needs nothing else and can be sent to others. A run that goes on is reported as far as it has come.
    """
    from fedactors.driver.saved_events import saved_events
    from fedactors.observe.account import Account
    from fedactors.observe.report import as_csv, as_html, as_markdown

    account = Account.of(run.resolve().name, saved_events(run))
    if form == "html":
        configuration = run / "config.toml"
        text = configuration.read_text(encoding="utf-8") if configuration.is_file() else ""
        _write(as_html(account, _environment(run), text), output or run / "report.html")
    else:
        written = as_csv(_table(account, table)) if form == "csv" else as_markdown(account, _environment(run))
        _write(written, output)


def _table(account: Account, name: str) -> Table:
    from fedactors.observe import tables

    makers = {"rounds": tables.rounds_table, "learners": tables.learners_table, "phases": tables.phases_table}
    return makers[name](account)


def _environment(run: Path) -> dict[str, object]:
    from fedactors.driver.run_directory import ENVIRONMENT_FILE

    file = run / ENVIRONMENT_FILE
    found: dict[str, object] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def _write(text: str, file: Path | None) -> None:
    if file is None:
        click.echo(text, nl=False)
        return
    file.write_text(text, encoding="utf-8")
    click.echo(f"{file}  ({len(text.encode()):,} bytes)")
