"""What a simulation costs while it runs, and has cost when it is over: time, messages, memory."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a simulation has come.

    Attributes:
        rounds: committed so far.
        updates: that these were combined from.
        virtual_s: time that has passed for the federation.
        wall_s: time that has passed here.
    """

    rounds: int
    updates: int
    virtual_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What a whole simulation took.

    Attributes:
        wall_s: time.
        cpu_s: processor time, which other programs on the machine change less.
        messages: that all actors handled.
        events: those of them that the scheduler handled: what its protocol had to decide on.
        peak_bytes: the most memory that this process ever had resident; 0 where the system does not tell.
        learner_bytes: what came to it during the simulation, for each learner.
    """

    wall_s: float
    cpu_s: float
    messages: int
    events: int
    peak_bytes: int
    learner_bytes: float

    @property
    def messages_per_s(self) -> float:
        """Of wall-clock time."""
        return self.messages / self.wall_s

    @property
    def events_per_s(self) -> float:
        """Of wall-clock time."""
        return self.events / self.wall_s


def peak_bytes() -> int:
    """The most memory that this process ever had resident; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # not a Unix
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes() -> int:
    """The memory that this process has resident now; its peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # not Linux
        return peak_bytes()
    import resource

    return pages * resource.getpagesize()
