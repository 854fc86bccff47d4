"""What befalls the connections of a faulty wire: one `Faults` for each, decided by a plan. Pure.

everyone(Faults(up=Direction(delay_s=0.05, jitter_s=0.02)))        a far-away network
everyone(Faults(down=Direction(bytes_per_s=1e6)))                  a slow downlink
only({0: Faults(up=Direction(end_at=1000, ending=Ending.RESET))})  the first connection breaks, the next one is whole
lambda number, rng: Faults(refused=rng.random() < 0.5)        half of the attempts fail
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


class Ending(enum.StrEnum):
    """How a direction ends at its `end_at`."""

    RESET = "reset"
    """Both sides' connections are reset, at once; what was under way is lost. (A Unix socket knows no reset: it is closed.)"""
    CLOSE = "close"
    """Both sides' connections are closed in good order."""
    HALF_CLOSE = "half_close"
    """The receiver of this direction reads an end of file; the other direction goes on."""
    SWALLOW = "swallow"
    """A black hole: what follows is taken and goes nowhere, and nobody is told."""


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a connection; without arguments, a good one.

    Attributes:
        delay_s: how long each piece is under way; seconds, >= 0.
        jitter_s: at most so much more, drawn uniformly for each piece; pieces do not overtake.
        bytes_per_s: no more than this on average; None: as fast as it goes.
        end_at: after so many bytes, exactly, it comes to its `ending`; None: never.
        ending: how.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    end_at: int | None = None
    ending: Ending = Ending.RESET

    def __post_init__(self) -> None:
        assert self.delay_s >= 0
        assert self.jitter_s >= 0
        assert self.bytes_per_s is None or self.bytes_per_s > 0, f"bytes_per_s = {self.bytes_per_s}: use end_at to stop it"
        assert self.end_at is None or self.end_at >= 0


@dataclass(frozen=True, slots=True)
class Faults:
    """What befalls one connection; without arguments, nothing.

    Attributes:
        up: from the client to the target.
        down: from the target to the client.
        refused: the client is reset as soon as it has connected; the target hears nothing of it.
    """

    up: Direction = field(default_factory=Direction)
    down: Direction = field(default_factory=Direction)
    refused: bool = False


Plan: TypeAlias = Callable[[int, random.Random], Faults]
"""What befalls a connection, by its number (from 0) and a source of chance that is its own, of the wire's seed."""


def everyone(faults: Faults) -> Plan:
    """The same for every connection."""
    return lambda _number, _rng: faults


def only(faults: Mapping[int, Faults]) -> Plan:
    """By a connection's number, from 0; nothing befalls those that are not named."""
    return lambda number, _rng: faults.get(number, Faults())


UNHARMED: Plan = everyone(Faults())
"""Nothing befalls anybody."""
