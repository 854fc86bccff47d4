"""`fedactors simulate`: a federation in virtual time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedactors.cli import options
from fedactors.cli.exit_codes import ExitCode
from fedactors.cli.options import Talk
from fedactors.cli.progress import ProgressLine
from fedactors.observe.figures import size

if TYPE_CHECKING:
    from fedactors.simulation.comparison import Curve


LEARNERS_MAX = 10**9
"""Virtual learners, unless FILE's or --set's own limit is overridden by --set."""


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

    The learners' speed, delays and failures are drawn from the table [simulation] of FILE. They really train, with the code that
    FILE names, and only the time is virtual; with --idle, or where FILE names no code, they take their time alone. There may be
    more of them than limits.learners_max, which is about connections.
    """
    from fedactors import config as configuration
    from fedactors.observe import logging
    from fedactors.simulation.comparison import Curve, plot
    from fedactors.simulation.population import Population
    from fedactors.simulation.simulate import simulate as run

    curves = []
    with logging.configure("warning", console="info" if talk.verbose else "warning", tracebacks=talk.debug):
        for file in files:
            config = configuration.read(file, [*_unlimited(learners), *overrides])
            entry = None if idle or config.learners.entry is None else configuration.load_entry(config)
            with ProgressLine(config.name, config.stop.rounds, quiet=talk.quiet) as progress:
                simulated = run(config, Population.of(config), entry=entry, parameters=parameters, watch=progress)
            curves.append(Curve.of(config.name, simulated, metric))
            _show(curves[-1], metric, target, first=len(curves) == 1)
            if progress.interrupted:
                break
    _show_costs(curves, target)
    if plot_file is not None:
        plot(curves, metric, plot_file, target)
        click.echo(f"plot: {plot_file}")
    if json_file is not None:
        json_file.write_text(json.dumps([_figures(curve, target) for curve in curves], indent=2) + "\n", encoding="utf-8")
    if progress.interrupted:
        raise click.exceptions.Exit(ExitCode.INTERRUPTED)


def _unlimited(learners: int | None) -> list[str]:
    """Overrides: as many learners as are wished, none of which takes a connection."""
    return [f"limits.learners_max={LEARNERS_MAX}", *([] if learners is None else [f"learners.count={learners}"])]


def _show(curve: Curve, metric: str, target: float | None, *, first: bool) -> None:
    figures = _figures(curve, target)
    if first:
        learners = figures["learners"]
        click.echo(f"{learners['learners']:,} virtual learners, {learners['stragglers']:,} of them stragglers")
        _row("federation", "rounds", "virtual s", metric, "target after s", "wall s", "cpu s")
    reached = figures["target_after_s"]
    _row(
        curve.name,
        f"{figures['rounds']:,}",
        f"{figures['virtual_s']:,.0f}",
        "-" if figures["metric"] is None else f"{figures['metric']:.4g}",
        "-" if reached is None else f"{reached:,.0f}",
        f"{figures['wall_s']:.2f}",
        f"{figures['cpu_s']:.2f}",
    )


def _show_costs(curves: list[Curve], target: float | None) -> None:
    """What the simulations took, a line for each."""
    _row("federation", "updates", "events/s", "messages/s", "peak memory", "bytes/learner")
    for curve in curves:
        figures = _figures(curve, target)
        rates = (f"{figures[name]:,.0f}" for name in ("events_per_s", "messages_per_s"))
        _row(curve.name, f"{figures['updates']:,}", *rates, size(figures["peak_bytes"]), f"{figures['bytes_per_learner']:,.0f}")


def _row(*values: str) -> None:
    click.echo("".join(f"{value:>16}" for value in values))


def _figures(curve: Curve, target: float | None) -> dict[str, Any]:
    simulated, costs = curve.simulated, curve.simulated.costs
    return {
        "federation": curve.name,
        "learners": simulated.profiles.summary(),
        "rounds": len(simulated.results.rounds),
        "stop_reason": simulated.results.stop_reason,
        "virtual_s": simulated.virtual_s,
        "updates": simulated.updates,
        "wall_s": costs.wall_s,
        "cpu_s": costs.cpu_s,
        "events": costs.events,
        "events_per_s": costs.events_per_s,
        "messages": costs.messages,
        "messages_per_s": costs.messages_per_s,
        "peak_bytes": costs.peak_bytes,
        "bytes_per_learner": costs.learner_bytes,
        "metric": curve.points[-1][1] if curve.points else None,
        "target_after_s": None if target is None else curve.reached_s(target),
        "points": list(curve.points),
    }
