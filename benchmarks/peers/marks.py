"""When rounds ended and what the controller had used by then, noted by code that runs in the controller's process.

A peer's controller may be a process that its runner does not see, so a mark is a line appended to a file. `time.monotonic` is one
clock for all processes of a machine and counts from its boot, as /proc does: a process's start is on the same scale. Linux only.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Mark:
    """The end of a round.

    Attributes:
        at_s: seconds of `time.monotonic`.
        replies: learners whose evaluation of the new model was in.
        cpu_s: processor seconds of the controller's processes so far.
        peak_rss_mb: their highest resident memory so far, MiB, summed.
        loopback_bytes: what this machine has moved over loopback so far, headers included, other programs' traffic too.
    """

    at_s: float
    replies: int
    cpu_s: float
    peak_rss_mb: float
    loopback_bytes: int


def stat_fields(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may hold spaces; the first is the state, field 3 of proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def started_s(pid: int | str = "self") -> float:
    """When a process began, on the scale of `time.monotonic`, to 10 ms."""
    return int(stat_fields(pid)[19]) / TICKS_PER_S


def cpu_s(pid: int | str = "self") -> float:
    """Processor seconds of a process, user and system."""
    user_ticks, system_ticks = stat_fields(pid)[11:13]
    return (int(user_ticks) + int(system_ticks)) / TICKS_PER_S


def peak_rss_mb(pid: int | str = "self") -> float:
    """A process's highest resident memory, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def loopback_bytes() -> int:
    """What the loopback interface has received since boot."""
    return int(Path("/proc/net/dev").read_text().partition("lo:")[2].split()[0])


def mark(path: Path | str, replies: int, others: Sequence[int] = ()) -> None:
    """Note the end of a round; `others` are processes that belong to the controller besides this one."""
    pids = ["self", *others]
    now = Mark(time.monotonic(), replies, sum(map(cpu_s, pids)), sum(map(peak_rss_mb, pids)), loopback_bytes())
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(now)) + "\n")


def read_marks(path: Path) -> list[Mark]:
    """The marks of a run, oldest first; none if no round ended."""
    return [Mark(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def figures(marks: Sequence[Mark], learners: int, began_s: float) -> dict[str, float]:
    """What the marks of a run say, by the names of `runner.Point`.

    Raises:
        SystemExit: with fewer than two rounds there is no steady one; a round without all learners is other work.
    """
    if len(marks) < 2:
        raise SystemExit(f"{len(marks)} rounds ended, a steady one needs 2: see the log above")
    if short := [(index, mark.replies) for index, mark in enumerate(marks, 1) if mark.replies != learners]:
        raise SystemExit(f"round {short[0][0]} ended with {short[0][1]} of {learners} learners: see the log above")
    first, last, steady = marks[0], marks[-1], len(marks) - 1
    return {
        "rounds": len(marks),
        "round_s": statistics.median(later.at_s - earlier.at_s for earlier, later in pairwise(marks)),
        "first_round_s": first.at_s - began_s,
        "controller_peak_rss_mb": last.peak_rss_mb,
        "controller_cpu_s_per_round": (last.cpu_s - first.cpu_s) / steady,
        "mbytes_per_learner": (last.loopback_bytes - first.loopback_bytes) / 1e6 / steady / learners,
    }
