"""Partial participation, everybody in turn."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from fedactors.errors import ConfigError
from fedactors.model import LearnerId
from fedactors.selection.base import Candidate, Selection
from fedactors.selection.pool import Pool
from fedactors.task import Round

HEAP_MIN = 64
"""A heap this small is not tidied."""


@dataclass(frozen=True, slots=True)
class RoundRobin(Selection):
    """Those who were given their last task longest ago; who never had one comes first, by id.

    Among the same learners it takes ids in turn: of a, b, c, d, e with count = 2, (a, b), (c, d), (e, a), (b, c), ... A learner
    that joins is next, and nobody is left out because others come and go.

    Attributes:
        count: >= 1; so many learners take part, or all where fewer are here.
    """

    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"selection 'round_robin' has count={self.count}; at least 1 learner takes part")

    @override
    def select(self, candidates: Sequence[Candidate], round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        chosen = sorted(candidates, key=_turn)[: self.count]
        return [candidate.learner for candidate in chosen]

    @override
    def pool(self) -> Pool:
        return Turns()

    @override
    def size(self, learners: int) -> int:
        return min(self.count, learners)


class Turns(Pool):
    """Idle learners by their turn: a heap, in which those that are struck out stay until they come up or are too many."""

    def __init__(self) -> None:
        self._turns: dict[LearnerId, tuple[int, LearnerId]] = {}
        self._heap: list[tuple[int, LearnerId]] = []

    @override
    def add(self, candidate: Candidate) -> None:
        turn = _turn(candidate)
        if self._turns.get(candidate.learner) != turn:
            self._turns[candidate.learner] = turn
            heapq.heappush(self._heap, turn)
            self._tidy()

    @override
    def discard(self, learner: LearnerId) -> None:
        if self._turns.pop(learner, None) is not None:
            self._tidy()

    @override
    def draw(self, number: int, round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        drawn: list[LearnerId] = []
        while self._turns and len(drawn) < number:
            turn = heapq.heappop(self._heap)
            if self._turns.get(turn[1]) == turn:
                del self._turns[turn[1]]
                drawn.append(turn[1])
        return drawn

    @override
    def __len__(self) -> int:
        return len(self._turns)

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._turns) + HEAP_MIN:
            self._heap = list(self._turns.values())
            heapq.heapify(self._heap)


def _turn(candidate: Candidate) -> tuple[int, LearnerId]:
    return candidate.last_task or 0, candidate.learner
