"""How fast is this machine's memory? The limit of everything that combines updates."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from fedactors.aggregation.lanes import Lanes

ELEMENTS = 32_000_000
"""Of float32 in an array: more than any cache holds."""

STRETCH = 500_000
REPEATS = 7


def read_bytes_per_s(lanes: Lanes) -> float:
    """Bytes a second of lanes that look at every value of a large array: the limit of what combines updates in one pass."""
    array = np.ones(ELEMENTS, np.float32)
    return array.nbytes / _best_s(lanes, lambda at: np.max(array[at]))


def added_bytes_per_s(lanes: Lanes) -> float:
    """Bytes a second of lanes that add one large array to another: the limit of folding updates one at a time.

    Both are read and one is written: 12 bytes an element.
    """
    total, term = np.zeros(ELEMENTS, np.float32), np.ones(ELEMENTS, np.float32)
    return 3 * term.nbytes / _best_s(lanes, lambda at: np.add(total[at], term[at], out=total[at]))


def _best_s(lanes: Lanes, work: Callable[[slice], object]) -> float:
    stretches = [slice(start, start + STRETCH) for start in range(0, ELEMENTS, STRETCH)]
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        lanes.each(work, stretches)
        times.append(time.perf_counter() - start)
    return min(times)
