"""What was measured on one machine, in a file that grows run by run: an interrupted comparison goes on where it was."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from runner import Point
from workload import WIDTHS


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """A point of the grid, `10x100K` on the command line."""

    learners: int
    parameters: str

    @classmethod
    def parse(cls, text: str) -> Cell:
        """Raises ValueError for what is no learners x one of WIDTHS."""
        learners, _, parameters = text.partition("x")
        if not learners.isdigit() or int(learners) < 1 or parameters not in WIDTHS:
            raise ValueError(f"{text!r} is not LEARNERSxPARAMETERS, such as 10x100K; parameters are {', '.join(WIDTHS)}")
        return cls(int(learners), parameters)

    def __str__(self) -> str:
        return f"{self.learners}x{self.parameters}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of a system at a point of the grid came to.

    Attributes:
        repeat: 0 for the first run of this point.
        rounds: as many as were asked for on the command line.
        point: the figures; None if there are none.
        trouble: why there are none.
    """

    system: str
    cell: Cell
    repeat: int
    rounds: int
    point: Point | None
    trouble: str | None

    @classmethod
    def from_map(cls, fields: dict) -> Outcome:
        """Back from JSON."""
        point = fields["point"] and Point(**fields["point"])
        return cls(**{**fields, "cell": Cell(**fields["cell"]), "point": point})


def this_machine() -> dict[str, object]:
    """What the figures were taken on, without a name."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / (1 << 30)),
        "kernel": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}, {platform.machine()}",
        "python": platform.python_version(),
    }


@dataclass(slots=True)
class Sitting:
    """All outcomes so far.

    Attributes:
        began: the day, as in ISO 8601.
    """

    machine: dict[str, object]
    began: str
    outcomes: list[Outcome] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Sitting:
        """The sitting in a file, or a new one.

        Raises:
            SystemExit: the file is of another machine, whose figures must not stand beside this one's.
        """
        machine = this_machine()
        if not path.exists():
            return cls(machine, time.strftime("%Y-%m-%d"))
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["machine"] != machine:
            raise SystemExit(f"{path} is of {kept['machine']}, this is {machine}: move it away, or name another --results")
        return cls(machine, kept["began"], [Outcome.from_map(fields) for fields in kept["outcomes"]])

    def save(self, path: Path) -> None:
        """Replace the file at once, so that it is whole whenever we are interrupted."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        new.replace(path)

    def has(self, system: str, cell: Cell, repeat: int, rounds: int) -> bool:
        """Whether this run has been done."""
        return any((o.system, o.cell, o.repeat, o.rounds) == (system, cell, repeat, rounds) for o in self.outcomes)

    def forget_troubles(self) -> None:
        """Drop the runs that came to no figures."""
        self.outcomes = [outcome for outcome in self.outcomes if outcome.point is not None]

    def of(self, system: str, cell: Cell) -> list[Outcome]:
        """All runs of a system at a point."""
        return [outcome for outcome in self.outcomes if (outcome.system, outcome.cell) == (system, cell)]

    def cells(self) -> list[Cell]:
        """The points that were measured, small models first."""
        return sorted({outcome.cell for outcome in self.outcomes}, key=lambda cell: (WIDTHS[cell.parameters], cell.learners))


def median_of(outcomes: Iterable[Outcome], figure: str) -> float | None:
    """The median of one figure over the runs that have it."""
    values = [getattr(outcome.point, figure) for outcome in outcomes if outcome.point is not None]
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
