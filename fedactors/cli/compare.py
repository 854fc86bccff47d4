"""`fedactors compare`: runs side by side."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedactors.cli import options

if TYPE_CHECKING:
    from fedactors.observe.tables import Table


@click.command(short_help="Put runs side by side: outcome, settings that differ, curves.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN ...")
@click.option("--output", "-o", callback=options.as_path, metavar="FILE", help="Write an HTML page with curves there, too.")
@options.debug
def compare(runs: tuple[str, ...], output: Path | None) -> None:
    """Compare runs by their directories: how each went, and in which settings they differ."""
    from fedactors.driver.saved_events import saved_events
    from fedactors.errors import ConfigError
    from fedactors.observe.account import Account
    from fedactors.observe.comparison import as_html, outcome_table, settings_table

    if len(runs) < 2:
        raise ConfigError("one run is nothing to compare; name two or more, or write its report by `fedactors report`")
    places = list(map(Path, runs))
    accounts = [Account.of(name, saved_events(place)) for name, place in zip(_names(places), places, strict=True)]
    configurations = [_configuration(place) for place in places]
    _show(outcome_table(accounts))
    _show(settings_table([account.name for account in accounts], configurations))
    if output is not None:
        output.write_text(as_html(accounts, configurations), encoding="utf-8")
        click.echo(f"\n{output}")


def _names(places: list[Path]) -> list[str]:
    """Of directories their last parts, or their whole paths where two have the same."""
    names = [place.resolve().name for place in places]
    return names if len(set(names)) == len(names) else list(map(str, places))


def _configuration(run: Path) -> dict[str, Any]:
    file = run / "config.toml"
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _show(table: Table) -> None:
    """On a terminal, each run is a column: there are few of them, and many figures."""
    from fedactors.cli.columns import in_columns
    from fedactors.observe.tables import shown

    if not table.rows:
        return
    if table.title == "Outcome":
        cells = [[shown(cell, column.kind) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows]
        heads, *rows = [[column.head, *figures] for column, figures in zip(table.columns, zip(*cells, strict=True), strict=True)]
    else:
        heads, rows = [column.head for column in table.columns], [list(map(str, row)) for row in table.rows]
        click.echo()
    click.echo(in_columns(heads, rows))
