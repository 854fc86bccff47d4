"""`fedactors status`: where a federation stands."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedactors.cli.operating import ask, on_controller

if TYPE_CHECKING:
    from fedactors.driver.reaching import Reach

INSIDE = "memory://"
"""An address of the controller's own process, of use to nobody else."""


@click.command(short_help="Where a federation stands, in a few lines or as JSON.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with everything that the controller tells.")
@on_controller
def status(run: Path | None, reach: Reach, as_json: bool) -> None:
    """Ask the controller of RUN, the directory of a run, or the one at ADDRESS, where its federation stands.

    Of a run that is not going on, it is told what its directory says.
    """
    from fedactors.driver.reaching import address_of

    at_rest = run is not None and reach.address is None and address_of(run) is None
    told = _saved(run) if run is not None and at_rest else ask(run, reach, lambda admin: admin.status())
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    lines = _saved_lines(told) if at_rest else _lines(told)
    width = max(len(label) for label, _ in lines)
    click.echo("\n".join(f"{label:<{width}}  {text}" for label, text in lines))


def _saved(run: Path) -> dict[str, Any]:
    from fedactors.driver.saved_runs import look

    return asdict(look(run)) | {"path": str(run)}


def _saved_lines(told: dict[str, Any]) -> list[tuple[str, str]]:
    from fedactors.observe.figures import metrics

    numbers = {name: float("nan") if value is None else value for name, value in told["metrics"].items()}
    why = f": {told['why']}" if told["why"] else ""
    lines = [(str(told["name"] or told["path"]), f"{told['state']}{why}"), ("rounds", _of(told["rounds"], told["rounds_total"]))]
    return [*lines, *([("metrics", metrics(numbers))] if numbers else [])]


def _lines(told: dict[str, Any]) -> list[tuple[str, str]]:
    phase = f"{'paused, ' if told['paused'] else ''}{told['phase']}"
    why = f": {told['stop_reason']}" if told["stop_reason"] else ""
    done = told["round"] - 1
    lines = [(str(told["name"]), phase + why), ("rounds", _of(done, told.get("rounds_total")))]
    if told.get("is_relay"):
        lines.append(("relay", "its rounds are those of its parent"))
    lines.append(("version", "none yet" if told["version"] is None else f"{told['version']}"))
    lines.append(("learners", f"{len(told['learners']):,} here, at least {told['min_learners']:,} to begin with"))
    lines.append(("model", f"{told['num_parameters']:,} parameters"))
    return [*lines, *(("address", address) for address in told["addresses"] if not address.startswith(INSIDE))]


def _of(done: int, total: int | None) -> str:
    return f"{done:,}" if total is None else f"{done:,} of {total:,}"
