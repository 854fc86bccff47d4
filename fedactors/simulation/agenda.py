"""What is to happen when, in virtual time: for many learners at the price of one comparison in C for each.

A timer of its own for each of 100,000 learners would cost each a kilobyte, and comparisons in Python at every turn of the loop.
"""

from __future__ import annotations

import heapq
import itertools
from typing import Any

from fedactors.runtime import ActorRef


class Agenda:
    """Messages that actors are told when their time has come; of those that are due together, the one entered first.

    Nothing is struck out: whoever does not wait for a message any more does not mind it.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, ActorRef[Any], Any]] = []
        self._numbers = itertools.count()

    @property
    def next_s(self) -> float | None:
        """When the next message is due; None: there is none."""
        return self._entries[0][0] if self._entries else None

    def enter(self, due_s: float, ref: ActorRef[Any], message: Any) -> None:
        """Have `ref` told this message at that time of the virtual clock."""
        heapq.heappush(self._entries, (due_s, next(self._numbers), ref, message))

    def tell_due(self, now_s: float) -> None:
        """Tell what is due by now."""
        entries = self._entries
        while entries and entries[0][0] <= now_s:
            _, _, ref, message = heapq.heappop(entries)
            ref.tell(message)

    def clear(self) -> None:
        """Nothing comes of what is entered."""
        self._entries.clear()
