"""Several runs side by side; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fedactors.observe.account import Account
from fedactors.observe.chart import Points, line_chart
from fedactors.observe.page import page
from fedactors.observe.report import html_table, section
from fedactors.observe.tables import Cell, Column, Kind, Table

IGNORED = ("base_dir",)
"""Keys of a configuration that differ and mean nothing."""


def outcome_table(runs: Sequence[Account]) -> Table:
    """How each went: a row for each run."""
    metrics = list({name: None for run in runs for name in run.metric_names()})
    columns = [
        Column("run"),
        Column("rounds", Kind.COUNT),
        Column("time", Kind.SECONDS),
        Column("a round", Kind.SECONDS),
        Column("updates", Kind.COUNT),
        Column("refused", Kind.COUNT),
        Column("received", Kind.BYTES),
        Column("sent", Kind.BYTES),
        *(Column(f"{when} {name}", Kind.NUMBER) for name in metrics for when in ("last", "best")),
        Column("outcome"),
    ]
    return Table("Outcome", tuple(columns), [_outcome(run, metrics) for run in runs])


def _outcome(run: Account, metrics: Sequence[str]) -> list[Cell]:
    rounds, best, last = run.rounds, run.best(), run.history.metrics
    mean_s = sum(record.duration_s for record in rounds) / len(rounds) if rounds else None
    figures = [len(rounds), run.duration_s, mean_s, run.accepted, run.refused.total(), run.bytes_up, run.bytes_down]
    return [run.name, *figures, *(which.get(name) for name in metrics for which in (last, best)), run.state]


def settings_table(names: Sequence[str], configurations: Sequence[Mapping[str, Any]]) -> Table:
    """The keys in which the configurations differ; no rows where they are alike."""
    settings = [flat(configuration) for configuration in configurations]
    keys = [
        key for key in sorted(set().union(*settings)) if key not in IGNORED and len({repr(one.get(key)) for one in settings}) > 1
    ]
    rows = [(key, *(_written(one.get(key)) for one in settings)) for key in keys]
    return Table("Settings that differ", (Column("key"), *map(Column, names)), rows)


def as_html(runs: Sequence[Account], configurations: Sequence[Mapping[str, Any]]) -> str:
    """One page: the tables, and each metric of all runs over rounds and over time."""
    settings = settings_table([run.name for run in runs], configurations)
    sections = [section("Outcome", html_table(outcome_table(runs)))]
    sections += [section("Settings that differ", html_table(settings))] if settings.rows else []
    sections.append(section("Curves", curves(runs) or "<p>No metric was reported.</p>"))
    return page(f"{len(runs)} runs side by side", sections)


def curves(runs: Sequence[Account]) -> str:
    """Two charts for each metric."""
    names = list({name: None for run in runs for name in run.metric_names()})
    charts = []
    for name in names:
        charts.append(line_chart(name, "round", {run.name: over_rounds(run, name) for run in runs}))
        charts.append(line_chart(name, "seconds", {run.name: over_time(run, name) for run in runs}))
    return f'<div class="charts">{"".join(f"<div>{chart}</div>" for chart in charts if chart)}</div>' if any(charts) else ""


def over_rounds(run: Account, metric: str) -> Points:
    """A metric after each round."""
    return [(record.round, record.metrics[metric]) for record in run.rounds if metric in record.metrics]


def over_time(run: Account, metric: str) -> Points:
    """A metric by the seconds after the run's first round began, at each round's commit."""
    if not run.rounds:
        return []
    starts = [datetime.fromisoformat(record.started_at).timestamp() for record in run.rounds]
    pairs = [(start - starts[0] + r.duration_s, r) for start, r in zip(starts, run.rounds, strict=True)]
    return [(at_s, record.metrics[metric]) for at_s, record in pairs if metric in record.metrics]


def flat(configuration: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Its keys with those of their tables, as in stop.rounds."""
    settings: dict[str, Any] = {}
    for key, value in configuration.items():
        settings |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return settings


def _written(value: Any) -> str:
    return "" if value is None else str(value)
