"""Long vectors are worked on piece by piece; who works on which piece is the caller's business."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

ShareOut: TypeAlias = Callable[[Callable[[Any], object], Sequence[Any], int], None]
"""Calls some work with every item, in any order and maybe several at once; the last argument is how many elements are read."""


def in_turn(work: Callable[[Any], object], items: Sequence[Any], _: int) -> None:
    """One item after another."""
    for item in items:
        work(item)
