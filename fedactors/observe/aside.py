"""Writing to a place that may be slow or away, in a thread of its own: whoever has news never waits for it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Full, Queue
from typing import Generic, TypeVar

from fedactors.log import get_logger, one_line

log = get_logger("fedactors.observe")

T = TypeVar("T")

WAITING_MAX = 10_000
"""Items that wait to be written."""


class Aside(Generic[T]):
    """Hands items to `write`, in order and in a thread, all that wait at once. The first failure is its last: one line is logged.

    Args:
        name: of the place, as people know it.
        write: may wait and fail.

    Attributes:
        failed: nothing more is written.
    """

    def __init__(self, name: str, write: Callable[[list[T]], None]) -> None:
        self._name = name
        self._write = write
        self._waiting: Queue[T | None] = Queue(WAITING_MAX)
        self.failed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Have it written some time; never waits."""
        if not self.failed:
            try:
                self._waiting.put_nowait(item)
            except Full:
                self.give_up(f"it is slower than the run: {WAITING_MAX:,} items wait for it")

    def close(self, within_s: float) -> bool:
        """Wait until everything is written, for so long or twice; whether it is."""
        if not self.failed:
            with suppress(Full):  # then the thread has not come back from its place for long
                self._waiting.put(None, timeout=within_s)
            self._thread.join(within_s)
            if self._thread.is_alive():
                self.give_up(f"it has not taken the last of the run within {within_s:g} s")
        return not self.failed

    def give_up(self, why: object) -> None:
        """Write nothing more, and say so once."""
        if not self.failed:
            self.failed = True
            why = one_line(without_credentials(str(why)))
            log.error("outlet_failed", outlet=self._name, why=why, effect="the run goes on without it")

    def _work(self) -> None:
        over = False
        while not over and not self.failed:
            items, over = self._waited()
            try:
                self._write(items)
            except Exception as error:  # a stranger's package, and a server's whims: whatever it is, the run goes on
                self.give_up(error)

    def _waited(self) -> tuple[list[T], bool]:
        """What waits, at least one item or the end; and whether the end was there."""
        items: list[T] = []
        item = self._waiting.get()
        while item is not None:
            items.append(item)
            if len(items) == WAITING_MAX or self._waiting.empty():
                return items, False
            item = self._waiting.get()  # nobody else takes any
        return items, True


def without_credentials(text: str) -> str:
    """A text of which the URLs tell no user and no password."""
    return re.sub(r"://[^/@\s]*@", "://", text)
