"""Learners that are drawn with probabilities by weight; a weight is changed, and a learner drawn, in O(log N)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedactors.model import LearnerId

SLOTS_MIN = 16


class Weights:
    """A binary tree of sums: each node holds the sum of its two children, so that nothing drifts however often weights change."""

    def __init__(self, weights: Mapping[LearnerId, float] | None = None) -> None:
        self._slots: dict[LearnerId, int] = {}
        self._learners: list[LearnerId | None] = []
        self._free: list[int] = []
        self._sums: list[float] = []
        self._half = 0  # leaves stand behind the inner nodes, of which node 1 is the root
        self._lay_out(weights or {})

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, learner: LearnerId) -> bool:
        return learner in self._slots

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return self._sums[1]

    def put(self, learner: LearnerId, weight: float) -> None:
        """Enter a learner with this weight, >= 0 and finite; one that is in has it from now on."""
        slot = self._slots.get(learner)
        if slot is None:
            if not self._free:
                self._lay_out({known: self._sums[self._half + at] for known, at in self._slots.items()})
            slot = self._slots[learner] = self._free.pop()
            self._learners[slot] = learner
        self._set(slot, weight)

    def discard(self, learner: LearnerId) -> None:
        """Strike out a learner; it need not be in."""
        slot = self._slots.pop(learner, None)
        if slot is not None:
            self._set(slot, 0)
            self._learners[slot] = None
            self._free.append(slot)

    def draw_one(self, rng: np.random.Generator) -> LearnerId:
        """Take out a learner, with a probability of its share in `total`, which is above 0."""
        sums, node, rest = self._sums, 1, rng.random() * self._sums[1]
        while node < self._half:
            node *= 2
            if rest >= sums[node] and sums[node + 1] > 0:
                rest -= sums[node]
                node += 1
        learner = self._learners[node - self._half]
        assert learner is not None, "only a learner has weight"
        self.discard(learner)
        return learner

    def _set(self, slot: int, weight: float) -> None:
        sums, node = self._sums, self._half + slot
        sums[node] = weight
        while node > 1:
            node //= 2
            sums[node] = sums[2 * node] + sums[2 * node + 1]

    def _lay_out(self, weights: Mapping[LearnerId, float]) -> None:
        """Anew, with room for as many again."""
        half = SLOTS_MIN
        while half < 2 * len(weights):
            half *= 2
        self._half = half
        self._learners = [*weights, *([None] * (half - len(weights)))]
        self._slots = {learner: slot for slot, learner in enumerate(weights)}
        self._free = list(range(half - 1, len(weights) - 1, -1))
        self._sums = [0] * half + list(weights.values()) + [0] * (half - len(weights))
        for node in range(half - 1, 0, -1):
            self._sums[node] = self._sums[2 * node] + self._sums[2 * node + 1]
