"""`fedactors simulate`: a federation in virtual time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedactors.cli import options
from fedactors.cli.options import Talk

if TYPE_CHECKING:
    from fedactors.simulation.comparison import Curve


@click.command(short_help="Run a federation in virtual time: a day of it in seconds.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--learners", type=click.IntRange(min=1), help="How many virtual learners.  [default: as FILE says]")
@click.option("--idle", is_flag=True, help="Learners take their time but do not train: for questions of time and size alone.")
@click.option("--parameters", type=click.IntRange(min=1), default=1_000, show_default=True, help="Of the model, with --idle.")
@click.option("--metric", default="accuracy", show_default=True, help="To compare.")
@click.option("--target", type=float, help="Tell when the metric is as good as this.")
@click.option("--plot", "plot_file", type=click.Path(dir_okay=False, path_type=Path), help="Draw the metric over virtual time.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures to this file, too.")
@options.overrides
@options.talk
def simulate(
    files: tuple[Path, ...],
    learners: int | None,
    idle: bool,
    parameters: int,
    metric: str,
    target: float | None,
    plot_file: Path | None,
    json_file: Path | None,
    overrides: tuple[str, ...],
    talk: Talk,
) -> None:
    """Run the federation of each FILE in virtual time, with the real controller and virtual learners, and compare them.

    The learners' speed, delays and failures are drawn from the table [simulation] of FILE; without --idle they really train, with
    the code that FILE names, and only the time is virtual.
    """
    from fedactors import config as configuration
    from fedactors.observe import logging
    from fedactors.simulation.comparison import Curve, plot
    from fedactors.simulation.population import Population
    from fedactors.simulation.simulate import simulate as run

    curves = []
    with logging.configure("warning", console="info" if talk.verbose else "warning", tracebacks=talk.debug):
        for file in files:
            config = configuration.read(file, overrides)
            entry = None if idle else configuration.load_entry(config)
            simulated = run(config, Population.of(config), learners=learners, entry=entry, parameters=parameters)
            curves.append(Curve.of(config.name, simulated, metric))
            _show(curves[-1], metric, target, first=len(curves) == 1)
    if plot_file is not None:
        plot(curves, metric, plot_file, target)
        click.echo(f"plot: {plot_file}")
    if json_file is not None:
        json_file.write_text(json.dumps([_figures(curve, target) for curve in curves], indent=2) + "\n", encoding="utf-8")


def _show(curve: Curve, metric: str, target: float | None, *, first: bool) -> None:
    figures = _figures(curve, target)
    if first:
        learners = figures["learners"]
        click.echo(f"{learners['learners']:,} virtual learners, {learners['stragglers']:,} of them stragglers")
        columns = ("federation", "rounds", "virtual s", metric, "target after s", "wall s", "messages/s")
        click.echo("".join(f"{title:>16}" for title in columns))
    reached = figures["target_after_s"]
    values = (
        curve.name,
        f"{figures['rounds']:,}",
        f"{figures['virtual_s']:,.0f}",
        "-" if figures["metric"] is None else f"{figures['metric']:.4g}",
        "-" if reached is None else f"{reached:,.0f}",
        f"{figures['wall_s']:.2f}",
        f"{figures['messages'] / figures['wall_s']:,.0f}",
    )
    click.echo("".join(f"{value:>16}" for value in values))


def _figures(curve: Curve, target: float | None) -> dict[str, Any]:
    simulated = curve.simulated
    return {
        "federation": curve.name,
        "learners": simulated.profiles.summary(),
        "rounds": len(simulated.results.rounds),
        "stop_reason": simulated.results.stop_reason,
        "virtual_s": simulated.virtual_s,
        "wall_s": simulated.wall_s,
        "messages": simulated.messages,
        "metric": curve.points[-1][1] if curve.points else None,
        "target_after_s": None if target is None else curve.reached_s(target),
        "points": list(curve.points),
    }
