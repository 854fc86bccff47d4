"""`fedactors bench`: how fast this machine decides."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fedactors.simulation.throughput import Throughput

EVENTS_PER_LEARNER = 5
LEARNERS = (10, 100, 1_000, 10_000, 100_000)
COLUMNS = ("protocol", "learners", "events/s", "commands/s", "rounds/s", "bytes/learner")


@click.group(short_help="Measure how fast this machine decides.")
def bench() -> None:
    """Measure parts of fedactors on this machine."""


@bench.command(short_help="Scheduling: events and commands a second, memory for each learner.")
@click.option("--protocol", "protocols", multiple=True, metavar="NAME", help="May be repeated.  [default: every protocol]")
@click.option(
    "--learners",
    "counts",
    type=click.IntRange(min=1),
    multiple=True,
    default=LEARNERS,
    show_default=True,
)
@click.option("--events", type=click.IntRange(min=1), default=100_000, show_default=True, help="At least so many at each point.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures to this file, too.")
@click.option("--against", type=click.Path(exists=True, path_type=Path), help="Figures of an earlier run, to compare with.")
def scheduler(
    protocols: tuple[str, ...], counts: tuple[int, ...], events: int, json_file: Path | None, against: Path | None
) -> None:
    """Feed scheduling protocols as fast as they decide, with learners that answer at once."""
    from fedactors import plugins
    from fedactors.simulation.throughput import measure

    before = {} if against is None else {_point(figures): figures for figures in json.loads(against.read_text(encoding="utf-8"))}
    click.echo("".join(f"{title:>18}" for title in (*COLUMNS, *(["events/s before"] if before else []))))
    measured = []
    for name in protocols or plugins.names("fedactors.scheduling"):
        protocol = plugins.build("fedactors.scheduling", name, {})
        for learners in counts:
            measured.append(measure(name, protocol, learners, max(events, EVENTS_PER_LEARNER * learners)))
            click.echo(_line(measured[-1]) + _before(measured[-1], before))
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(figures) for figures in measured], indent=2) + "\n", encoding="utf-8")


def _point(figures: dict[str, object]) -> tuple[object, object]:
    return figures["protocol"], figures["learners"]


def _line(figures: Throughput) -> str:
    rates = (figures.events / figures.seconds, figures.commands / figures.seconds, figures.rounds / figures.seconds)
    values = (figures.protocol, f"{figures.learners:,}", *(f"{rate:,.0f}" for rate in rates), f"{figures.bytes_per_learner:,.0f}")
    return "".join(f"{value:>18}" for value in values)


def _before(figures: Throughput, before: dict[tuple[object, object], dict[str, float]]) -> str:
    earlier = before.get((figures.protocol, figures.learners))
    if earlier is None:
        return ""
    rate = earlier["events"] / earlier["seconds"]
    return f"{rate:>12,.0f} x{figures.events / figures.seconds / rate:.2f}"
