"""How arithmetic on long arrays is shared out: in place, or over threads that somebody else owns.

Rules know nothing of lanes. Kernels cut their work into items that write to disjoint memory and `share_out` them; whoever calls a
fold decides on how many lanes, as with numpy's `errstate`:

    with working_in(lanes):
        fold.add(contribution)

What an item gives depends neither on who works on it nor on when, so the bits are the same whatever the number of lanes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import numpy as np
from typing_extensions import override

T = TypeVar("T")

SHARED_MIN = 1_000_000
"""Elements that must be worked on for a call to be shared out: with fewer, two threads cost each other more than they save.

A thread must be woken, and numpy calls that are over after some microseconds have threads wait for the interpreter by turns.
"""


class Lanes(ABC):
    """Who works on the items of a call."""

    @abstractmethod
    def each(self, work: Callable[[T], object], items: Sequence[T]) -> None:
        """Call `work` with every item, in any order and maybe several at once; nothing is at work any more on return.

        Raises:
            Exception: what an item's work raised; other items may then be left out.
        """


class InPlace(Lanes):
    """One lane, the caller's."""

    @override
    def each(self, work: Callable[[T], object], items: Sequence[T]) -> None:
        for item in items:
            work(item)


IN_PLACE = InPlace()
_at_hand: ContextVar[Lanes] = ContextVar("lanes", default=IN_PLACE)


@contextmanager
def working_in(lanes: Lanes) -> Iterator[None]:
    """Share out what is called here over these lanes."""
    token = _at_hand.set(lanes)
    try:
        yield
    finally:
        _at_hand.reset(token)


def share_out(work: Callable[[T], object], items: Sequence[T], elements: int) -> None:
    """Call `work` with every item on the lanes at hand; in place where the items read few elements, or it is one.

    Floating-point errors raise no warning: a diverged learner's infinities are its own news.
    """
    lanes = _at_hand.get() if elements >= SHARED_MIN and len(items) > 1 else IN_PLACE

    def quietly(item: T) -> None:
        with np.errstate(all="ignore"):  # which is each thread's own
            work(item)

    lanes.each(quietly, items)
