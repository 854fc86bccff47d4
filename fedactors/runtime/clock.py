"""Where an actor system takes the time from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Clock:
    """The event loop's time. A loop that keeps a time of its own brings its own clock, as `loop.clock`.

    Attributes:
        stopwatch: a running count of seconds with a fine resolution, for time slices and statistics; in virtual time it
            stands still while anything runs, so that a run does not depend on the machine.
    """

    stopwatch: Callable[[], float] = staticmethod(time.perf_counter)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    @staticmethod
    def of(loop: asyncio.AbstractEventLoop) -> Clock:
        """The clock of this loop."""
        clock = getattr(loop, "clock", None)
        return clock if isinstance(clock, Clock) else Clock(loop)

    def now(self) -> float:
        """Seconds since some moment; never goes back, the same time that the loop's timers use."""
        return self._loop.time()

    def time(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()
