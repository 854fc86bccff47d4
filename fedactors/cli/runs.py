"""`fedactors runs`: what there is of earlier runs, and of those that go on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedactors.cli import options

if TYPE_CHECKING:
    from fedactors.driver.saved_runs import SavedRun

STATES = {
    "finished": "it is over; `fedactors up --resume RUN --set stop.rounds=N` adds rounds",
    "failed": "it could not go on; --resume tries again from where it was",
    "running": "a process is at it",
    "resumable": "it was cut short; `fedactors up --resume RUN` goes on with it",
    "unfinished": "without a journal: its controller is elsewhere, or it cannot be resumed",
    "damaged": "something in its directory cannot be read",
}
_EPILOG = "\b\nStates:\n" + "\n".join(f"  {state:<10}  {meaning}" for state, meaning in STATES.items())
HEADS = ("run", "started", "rounds", "state", "size", "metrics")


@click.group(short_help="List the runs in a directory: how far they came, and which can be resumed.")
def runs() -> None:
    """Look at runs from outside, while they go on and afterwards."""


@runs.command(short_help="A table of runs.", epilog=_EPILOG)
@click.argument("folder", metavar="[DIR]", default="runs", callback=options.as_path)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with everything that is known.")
@options.debug
def ls(folder: Path, as_json: bool) -> None:
    """List the runs in DIR (by default, runs), the newest last: rounds done of those to do, and the last metrics."""
    from fedactors.driver.saved_runs import saved_runs
    from fedactors.errors import ConfigError

    if not folder.is_dir() and folder != Path("runs"):
        raise ConfigError(f"there is no directory {folder}; name the one that holds the runs, or nothing for ./runs")
    found = saved_runs(folder) if folder.is_dir() else []
    if as_json:
        click.echo(json.dumps([_as_map(run) for run in found], indent=2))
    elif found:
        from fedactors.cli.columns import in_columns

        click.echo(in_columns(HEADS, [_row(run) for run in found], numbers=("rounds", "size")))
    else:
        click.echo(f"there is no run in {folder}")


def _row(run: SavedRun) -> tuple[str, ...]:
    from fedactors.cli.columns import unbroken
    from fedactors.driver.saved_runs import State
    from fedactors.observe.figures import metrics, size

    rounds = f"{run.rounds:,}" + (f"/{run.rounds_total:,}" if run.rounds_total else "")
    numbers = {name: float("nan") if value is None else value for name, value in run.metrics.items()}
    damaged = run.state is State.DAMAGED
    said = run.why if damaged else unbroken(metrics(numbers))
    return (run.path.name, _moment(run.started_at), "-" if damaged else rounds, run.state, size(run.nbytes), said)


def _moment(iso: str | None) -> str:
    """To the minute, as the clock on the wall has it."""
    from datetime import datetime

    return "-" if iso is None else datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")


def _as_map(run: SavedRun) -> dict[str, Any]:
    return asdict(run) | {"path": str(run.path)}
