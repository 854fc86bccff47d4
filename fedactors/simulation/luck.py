"""A virtual learner's luck: random numbers of its own, in a few bytes where a generator would take kilobytes."""

from __future__ import annotations

import hashlib
import math


class Luck:
    """Numbers drawn from (seed, learner, how many were drawn before) alone, so that no other learner changes them."""

    __slots__ = ("_draws", "_index", "_seed")

    def __init__(self, seed: int, index: int) -> None:
        self._seed = seed
        self._index = index
        self._draws = 0

    def uniform(self) -> float:
        """In [0, 1)."""
        name = f"{self._seed}:{self._index}:{self._draws}"
        self._draws += 1
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "little") >> 11) * 2.0**-53

    def exponential(self, mean: float) -> float:
        """Exponential, with this mean > 0."""
        return -mean * math.log1p(-self.uniform())
