"""The tables of a report: figures by column, which each way of writing formats in its own way; pure."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fedactors.observe import figures
from fedactors.observe.account import Account

Cell: TypeAlias = str | int | float | None


class Kind(enum.Enum):
    """What stands in a column."""

    TEXT = enum.auto()
    COUNT = enum.auto()
    SECONDS = enum.auto()
    BYTES = enum.auto()
    NUMBER = enum.auto()
    SHARE = enum.auto()
    """A fraction of one, shown as a percentage."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head and kind."""

    head: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of figures.

    Attributes:
        title: in one word or a few.
        columns: one for each cell of a row.
        rows: None stands where there is nothing to say.
        note: how to read it, where that is needed.
    """

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def shown(cell: Cell, kind: Kind) -> str:
    """A figure as people read it."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    match kind:
        case Kind.SECONDS:
            return figures.duration(cell)
        case Kind.BYTES:
            return figures.size(cell)
        case Kind.SHARE:
            return f"{cell:.1%}"
        case Kind.COUNT:
            return f"{cell:,}"
        case Kind.NUMBER | Kind.TEXT:
            return f"{cell:.4g}"


def plain(cell: Cell) -> str:
    """A figure as programs read it."""
    return "" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else str(cell)


def report_tables(account: Account) -> list[Table]:
    """Everything that a report tells in tables, its summary first."""
    made = [summary_table(account), phases_table(account), learners_table(account), refusals_table(account)]
    return [table for table in [*made, rounds_table(account)] if table.rows]


def summary_table(account: Account) -> Table:
    """What came of it, a line each."""
    history, rounds = account.history, account.rounds
    best, last = account.best(), history.metrics
    rows: list[tuple[str, str]] = [
        ("outcome", account.state),
        ("rounds", f"{len(rounds):,}" + (f", and {account.abandoned} abandoned" if account.abandoned else "")),
        ("time", figures.duration(account.duration_s)),
        ("last metrics", figures.metrics(last)),
        ("best metrics", figures.metrics(best)),
        ("updates", f"{account.accepted:,} accepted, {account.refused.total():,} refused"),
        ("learners", f"{len(account.learners):,}" if account.learners else ""),
        ("received", figures.size(account.bytes_up)),
        ("sent", figures.size(account.bytes_down)),
        ("privacy", "" if (epsilon := spent(account)) is None else f"epsilon {epsilon:.4g} is spent"),
        ("lives", f"{account.lives}: the controller's process was followed by another" if account.lives > 1 else ""),
        ("failures", f"{account.failures} of actors, which were restarted" if account.failures else ""),
    ]
    return Table("Summary", (Column("what"), Column("figure")), [row for row in rows if row[1]])


def spent(account: Account) -> float | None:
    """The epsilon of differential privacy that the last round tells of; None where none does."""
    return account.rounds[-1].epsilon if account.rounds else None


def phases_table(account: Account) -> Table:
    """Where a round's time went."""
    means = account.mean_phases_s()
    total = sum(means.values())
    rows = [(phase, mean_s, mean_s / total if total else 0.0) for phase, mean_s in means.items()]
    columns = (Column("phase"), Column("mean", Kind.SECONDS), Column("share", Kind.SHARE))
    return Table("Time spent by phase", columns, rows, "Evaluation may overlap the next round.")


def learners_table(account: Account) -> Table:
    """What each learner has given, and how late."""
    examples = sum(learner.examples for learner in account.learners.values())
    rows = [
        (
            name,
            one.rounds,
            one.updates,
            one.refused.total(),
            one.examples,
            one.examples / examples if examples else None,
            one.staleness / one.updates if one.updates else None,
            one.median_s,
            max(one.arrivals_s, default=None),
            one.last_in,
            one.losses,
            one.bytes_up,
            one.bytes_down,
            one.trouble,
        )
        for name, one in sorted(account.learners.items(), key=lambda item: figures.natural(item[0]))
    ]
    columns = (
        Column("learner"),
        Column("rounds", Kind.COUNT),
        Column("updates", Kind.COUNT),
        Column("refused", Kind.COUNT),
        Column("examples", Kind.COUNT),
        Column("share", Kind.SHARE),
        Column("staleness", Kind.NUMBER),
        Column("median after", Kind.SECONDS),
        Column("latest after", Kind.SECONDS),
        Column("was last in", Kind.COUNT),
        Column("lost", Kind.COUNT),
        Column("received", Kind.BYTES),
        Column("sent", Kind.BYTES),
        Column("last trouble"),
    )
    note = "Updates are timed from the beginning of their round; who is last in many rounds is what the others wait for."
    return Table("Learners", columns, rows, note)


def refusals_table(account: Account) -> Table:
    """What was refused, by its reason."""
    columns = (Column("reason"), Column("updates", Kind.COUNT))
    return Table("Refused", columns, account.refused.most_common())


def rounds_table(account: Account) -> Table:
    """Every round."""
    names = account.metric_names()
    rows = [
        (
            record.round,
            record.version,
            record.duration_s,
            record.phases.dispatch_s,
            record.phases.train_s,
            record.phases.combine_s,
            record.phases.evaluate_s,
            record.totals.learners,
            record.totals.accepted,
            sum(record.totals.refused.values()),
            record.totals.bytes_up,
            record.totals.bytes_down,
            *(record.metrics.get(name) for name in names),
        )
        for record in account.rounds
    ]
    seconds = [Column(name, Kind.SECONDS) for name in ("took", "dispatch", "train", "combine", "evaluate")]
    counts = [Column(name, Kind.COUNT) for name in ("learners", "accepted", "refused")]
    nbytes = [Column(name, Kind.BYTES) for name in ("received", "sent")]
    heads = [Column("round", Kind.COUNT), Column("version", Kind.COUNT), *seconds, *counts, *nbytes]
    return Table("Rounds", (*heads, *(Column(name, Kind.NUMBER) for name in names)), rows)
