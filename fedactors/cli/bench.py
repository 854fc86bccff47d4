"""`fedactors bench`: how fast this machine decides, and how fast it combines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from fedactors.simulation.combining import Combining
    from fedactors.simulation.throughput import Throughput

    Figures: TypeAlias = dict[str, Any]

EVENTS_PER_LEARNER = 5
LEARNERS = (10, 100, 1_000, 10_000, 100_000)
SCHEDULER_COLUMNS = ("protocol", "learners", "events/s", "commands/s", "rounds/s", "bytes/learner")
RULE_COLUMNS = ("rule", "updates", "ms/update", "ms to commit", "GB/s", "of bandwidth", "models held")
RULE_WIDTHS = (18, 9, 11, 14, 8, 14, 13)
MULTIPLES = {"": 1, "K": 1_000, "M": 1_000_000}

json_file = click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here, too."
)
compare = click.option(
    "--compare", type=click.Path(exists=True, path_type=Path), help="Figures of an earlier run, to compare with."
)


@click.group(short_help="Measure how fast this machine decides and combines.")
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
@json_file
@compare
def scheduler(
    protocols: tuple[str, ...], counts: tuple[int, ...], events: int, json_file: Path | None, compare: Path | None
) -> None:
    """Feed scheduling protocols as fast as they decide, with learners that answer at once."""
    from fedactors import plugins
    from fedactors.simulation.throughput import measure

    def measured() -> Iterator[Throughput]:
        for name in protocols or plugins.names("fedactors.scheduling"):
            protocol = plugins.build("fedactors.scheduling", name, {})
            for learners in counts:
                yield measure(name, protocol, learners, max(events, EVENTS_PER_LEARNER * learners))

    def rate(figures: Figures) -> float:
        return float(figures["events"] / figures["seconds"])

    before = _before(compare, ("protocol", "learners"))
    click.echo("".join(f"{title:>18}" for title in (*SCHEDULER_COLUMNS, *(["events/s before"] if before else []))))
    shown = []
    for figures in measured():
        shown.append(figures)
        click.echo(_scheduler_line(figures) + _compared(figures, before, ("protocol", "learners"), rate, "{:>12,.0f}"))
    _write(json_file, shown)


def _scheduler_line(figures: Throughput) -> str:
    rates = (figures.events / figures.seconds, figures.commands / figures.seconds, figures.rounds / figures.seconds)
    shown = (f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}" for rate in rates)
    values = (figures.protocol, f"{figures.learners:,}", *shown, f"{figures.bytes_per_learner:,.0f}")
    return "".join(f"{value:>18}" for value in values)


def _as_number(_ctx: click.Context, _parameter: click.Parameter, value: str) -> int:
    """A parameter's callback: 1M, 250K, 1000."""
    match = re.fullmatch(r"([1-9]\d{0,9})([KM]?)", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not a number of parameters; give one above 0, as in 1000, 250K or 1M")
    return int(match[1]) * MULTIPLES[match[2]]


@bench.command(short_help="Aggregation: time for each update and to commit, against memory bandwidth.")
@click.option("--rule", "rules", multiple=True, metavar="NAME", help="May be repeated.  [default: every rule]")
@click.option("--parameters", default="1M", show_default=True, callback=_as_number, help="Of the model, float32.")
@click.option(
    "--updates", type=click.IntRange(min=1), default=10, show_default=True, help="In a round; rules that need more get more."
)
@json_file
@compare
def aggregate(rules: tuple[str, ...], parameters: int, updates: int, json_file: Path | None, compare: Path | None) -> None:
    """Combine updates that are in memory, with as many threads as a controller has for it.

    GB/s counts each update's bytes once. Of bandwidth: the share of what the same threads reach that only read. Models held: the
    most memory that a round needs, updates and result included. From a million parameters on compiled kernels are used, where the
    extra `fast` is installed.
    """
    from fedactors import plugins
    from fedactors.actors.compiling import COMPILED_BYTES_MIN
    from fedactors.actors.compute import Threads
    from fedactors.aggregation import _compiled
    from fedactors.sharing import FOLD_THREADS
    from fedactors.simulation.bandwidth import read_bytes_per_s
    from fedactors.simulation.combining import measure

    if 8 * parameters >= COMPILED_BYTES_MIN:  # as a controller does for a float32 model of this size
        _compiled.load()
    key = ("rule", "parameters", "updates")
    before, shown = _before(compare, key), []
    built = [(name, plugins.build("fedactors.aggregation", name, {})) for name in rules or plugins.names("fedactors.aggregation")]
    with ThreadPoolExecutor(FOLD_THREADS) as executor:
        lanes = Threads(executor, FOLD_THREADS)
        bandwidth = read_bytes_per_s(lanes)
        click.echo(f"{parameters:,} parameters; {FOLD_THREADS} threads, which read memory at {bandwidth / 1e9:.1f} GB/s")
        click.echo(_in_columns(RULE_COLUMNS) + ("    GB/s before" if before else ""))
        for name, rule in built:
            shown.append(measure(name, rule, parameters, updates, lanes, bandwidth))
            click.echo(_rule_line(shown[-1]) + _compared(shown[-1], before, key, _gbytes_per_s, "{:>9.1f}"))
    _write(json_file, shown)


def _rule_line(figures: Combining) -> str:
    return _in_columns(
        (
            figures.rule,
            f"{figures.updates:,}",
            f"{figures.fold_ms:,.2f}",
            f"{figures.commit_ms:,.2f}",
            f"{figures.bytes_per_s / 1e9:.1f}",
            f"{figures.bandwidth_share:.0%}",
            f"{figures.peak_models:.1f}",
        )
    )


def _in_columns(values: Sequence[str]) -> str:
    first, *others = zip(values, RULE_WIDTHS, strict=True)
    return f"{first[0]:<{first[1]}}" + "".join(f"{value:>{width}}" for value, width in others)


def _gbytes_per_s(figures: Figures) -> float:
    return float(figures["bytes_per_s"]) / 1e9


def _before(file: Path | None, key: tuple[str, ...]) -> dict[tuple[Any, ...], Figures]:
    """The figures of an earlier run, by what they were measured with."""
    earlier = [] if file is None else json.loads(file.read_text(encoding="utf-8"))
    return {tuple(figures[name] for name in key): figures for figures in earlier}


def _compared(
    figures: DataclassInstance,
    before: dict[tuple[Any, ...], Figures],
    key: tuple[str, ...],
    rate: Callable[[Figures], float],
    form: str,
) -> str:
    """What an earlier run gave at the same point, and how many times as much this is; empty where there is none."""
    now = asdict(figures)
    earlier = before.get(tuple(now[name] for name in key))
    return "" if earlier is None else f"{form.format(rate(earlier))} x{rate(now) / rate(earlier):.2f}"


def _write(file: Path | None, figures: Sequence[DataclassInstance]) -> None:
    if file is not None:
        file.write_text(json.dumps([asdict(each) for each in figures], indent=2) + "\n", encoding="utf-8")
