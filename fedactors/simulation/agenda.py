"""What virtual learners will do and when: one heap and one timer for all of them.

A timer of its own for each of 100,000 learners would cost each a kilobyte, and comparisons in Python at every turn of the loop.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Any

from fedactors.runtime import ActorRef


class Agenda:
    """Messages that actors are told when their time has come; of those that are due together, the one entered first.

    Nothing is struck out: whoever does not wait for a message any more does not mind it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._entries: list[tuple[float, int, ActorRef[Any], Any]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, due_s: float, ref: ActorRef[Any], message: Any) -> None:
        """Have `ref` told this message at that time of the loop."""
        heapq.heappush(self._entries, (due_s, next(self._numbers), ref, message))
        if self._timer is None or due_s < self._timer.when():
            self._wind()

    def close(self) -> None:
        """Nothing comes of what is entered. Idempotent."""
        self._entries.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._entries[0][0], self._ring) if self._entries else None

    def _ring(self) -> None:
        entries, now_s = self._entries, self._loop.time()
        while entries and entries[0][0] <= now_s:
            _, _, ref, message = heapq.heappop(entries)
            ref.tell(message)
        self._timer = None
        self._wind()
