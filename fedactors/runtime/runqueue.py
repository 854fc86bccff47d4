"""The run queue: one per system, drained by one callback of the event loop for at most a time slice.

Waking an actor is a `deque.append`, not a `call_soon`; a task that waits for an answer is resumed from here as well, so that
a dialogue of many questions costs the loop one turn. The clock is read once for each turn of an actor.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from fedactors.log import get_logger
from fedactors.runtime.clock import Clock

if TYPE_CHECKING:
    from fedactors.runtime.runner import Runner

log = get_logger("fedactors.runtime")

SLICE_S = 0.002
"""How long actors run before the event loop has its turn."""

BATCH = 64
"""Messages that an actor handles before the next actor has its turn."""

TURNS_MAX = 256
"""Turns in a slice: what ends it in virtual time, where no time passes."""

INLINE_MAX = 64
"""Asks in a turn whose handler the asker runs itself: what bounds the stack."""

PARKED_MAX = 256
"""Tasks that idle actors may keep for their next coroutine handler."""

LAG_LOGGED_S = 0.25
"""A loop that is so late, or a turn that takes so long, is worth a line in the log."""

LAG_LOG_EVERY_S = 10.0
"""But not more often than this."""


class Runnable(Protocol):
    """What waits for its turn."""

    def _turn(self) -> None: ...


class RunQueue:
    """Who is ready to run.

    Attributes:
        loop: the event loop.
        clock: tells `now`, the stopwatch's reading when the turn at hand began.
        ready: who waits for a turn.
        awake: the loop has been asked to run the queue.
        batch: messages to a turn.
        inline: asks that may still run on the asker's stack in this turn.
        slice_end_s: of the slice at hand; in the past between slices.
        running: the actors' own tasks.
        parked: tasks that idle actors keep.
        lag_s, lag_max_s: how late the loop came to run the queue, last time and at worst.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, shuffle: random.Random | None) -> None:
        self.loop = loop
        self.clock = clock
        self.stopwatch = clock.stopwatch
        self.ready: deque[Runnable] = deque()
        self.awake = False
        self.batch = BATCH if shuffle is None else 1
        self._inline_max = INLINE_MAX if shuffle is None else 0
        self.inline = 0
        self.now = 0.0
        self.slice_end_s = float("-inf")
        self.running: dict[asyncio.Task[Any] | None, Runner] = {}
        self.parked = 0
        self.lag_s = self.lag_max_s = 0.0
        self._shuffle = shuffle
        self._asked_s = 0.0
        self._logged_s = float("-inf")

    def rouse(self) -> None:
        """Ask the loop to run the queue."""
        self.awake = True
        self.now = self._asked_s = self.stopwatch()
        self.loop.call_soon(self._run)

    def read_clock(self) -> float:
        """The stopwatch, for a turn that goes on."""
        self.now = self.stopwatch()
        return self.now

    def add(self, runnable: Runnable) -> None:
        """Give it a turn."""
        self.ready.append(runnable)
        if not self.awake:
            self.rouse()

    def remove(self, runnable: Runnable) -> None:
        """Take back the turn that it waits for, if it does."""
        if runnable in self.ready:
            self.ready.remove(runnable)

    def _run(self) -> None:
        """One slice."""
        ready, shuffle, inline = self.ready, self._shuffle, self._inline_max
        self.now = begun = self.stopwatch()
        self._note_lag(begun - self._asked_s)
        self.slice_end_s = end = begun + SLICE_S
        try:
            for _ in range(TURNS_MAX):
                self.inline = inline
                if shuffle is not None:
                    ready.rotate(shuffle.randrange(len(ready)))
                ready.popleft()._turn()
                if not ready or self.now > end:
                    break
        finally:
            self.slice_end_s = float("-inf")
            if ready:
                self.rouse()
            else:
                self.awake = False

    def _note_lag(self, lag_s: float) -> None:
        self.lag_s = lag_s
        if lag_s > self.lag_max_s:
            self.lag_max_s = lag_s
        if lag_s > LAG_LOGGED_S and self.now - self._logged_s > LAG_LOG_EVERY_S:
            self._logged_s = self.now
            log.warning("loop_lags", lag_s=round(lag_s, 3), ready=len(self.ready))
