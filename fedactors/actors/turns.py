"""Whose turn it is among parties that share something. Pure: work in, work out."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
W = TypeVar("W")


class Turns(Generic[K, W]):
    """What waits, a queue for each party; one piece of work of each is taken in turn.

    A party that begins to wait stands behind all that do. So while its first piece of work waits, every other party has one turn
    at most, however much that one has put in; and as long as anything waits, there is something to take.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[K, deque[W]] = OrderedDict()  # whose turn is next first; no queue is empty

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, who: K, work: W) -> None:
        """Have something wait."""
        self._waiting.setdefault(who, deque()).append(work)

    def take(self) -> W | None:
        """The next piece of work, the oldest of whose turn it is; None: nothing waits."""
        if not self._waiting:
            return None
        who, queue = next(iter(self._waiting.items()))
        work = queue.popleft()
        if queue:
            self._waiting.move_to_end(who)
        else:
            del self._waiting[who]
        return work

    def drop(self, who: K) -> tuple[W, ...]:
        """Have nothing of a party wait any more; what did."""
        return tuple(self._waiting.pop(who, ()))
