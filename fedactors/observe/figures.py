"""How numbers are written for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy would come with it, and the help of the command line waits for this module
    from fedactors.task import Metrics

METRICS_SHOWN_MAX = 6
"""In one line."""


def duration(seconds: float) -> str:
    """`0.21 s`, `2.1 s`, `1 min 05 s`, `2 h 07 min`."""
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds < 0.995 else f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    if round(seconds) < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02} s"
    return f"{round(seconds) // 3600} h {round(seconds) % 3600 // 60:02} min"


def size(nbytes: float) -> str:
    """`812 B`, `1.2 kB`, `437 MB`: powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 999.5:
            return f"{nbytes:.0f} {unit}" if unit == "B" or nbytes >= 99.95 else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    return f"{nbytes:.1f} TB"


def metrics(values: Metrics) -> str:
    """`loss 0.412  accuracy 0.913`, the loss first; what is too much for a line is counted."""
    names = sorted(values, key=lambda name: "loss" not in name)
    shown = [f"{name} {values[name]:.4g}" for name in names[:METRICS_SHOWN_MAX]]
    return "  ".join([*shown, f"(and {len(names) - len(shown)} more)"] if len(names) > len(shown) else shown)


def natural(name: str) -> list[str | int]:
    """A key by which learner-2 comes before learner-10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def counted(number: int, thing: str) -> str:
    """`1 round`, `3 rounds`, `1,024 rounds`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
