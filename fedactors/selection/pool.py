"""Idle learners that a policy chooses from one by one: how policies work where learners train without rounds in step.

A round's cohort is selected once from everybody; a learner that is free is to be chosen at each update. No method here takes
time that grows faster than the logarithm of the number of learners.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable

import numpy as np
from typing_extensions import override

from fedactors.model import LearnerId
from fedactors.selection.candidate import Candidate
from fedactors.task import Round


class Pool(ABC):
    """The learners that a policy could give a task now, and what it knows of them."""

    @abstractmethod
    def add(self, candidate: Candidate) -> None:
        """A learner is idle; of one that is in already, something new is known."""

    @abstractmethod
    def discard(self, learner: LearnerId) -> None:
        """A learner is not idle any more; it need not be in."""

    @abstractmethod
    def draw(self, number: int, round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        """Take out so many, >= 1; fewer where the policy takes no more of those that are in."""

    @abstractmethod
    def __len__(self) -> int:
        """How many could be drawn."""


class Queue(Pool):
    """Whoever is idle for longest comes first."""

    def __init__(self) -> None:
        self._learners: OrderedDict[LearnerId, None] = OrderedDict()

    @override
    def add(self, candidate: Candidate) -> None:
        self._learners.setdefault(candidate.learner)

    @override
    def discard(self, learner: LearnerId) -> None:
        self._learners.pop(learner, None)

    @override
    def draw(self, number: int, round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        return [self._learners.popitem(last=False)[0] for _ in range(min(number, len(self._learners)))]

    @override
    def __len__(self) -> int:
        return len(self._learners)


class Urn(Pool):
    """Everybody has the same chance."""

    def __init__(self, learners: Iterable[LearnerId] = ()) -> None:
        self._learners = list(learners)
        self._places = {learner: place for place, learner in enumerate(self._learners)}

    @override
    def add(self, candidate: Candidate) -> None:
        self.put(candidate.learner)

    def put(self, learner: LearnerId) -> None:
        """As `add`: an urn knows nothing of its learners."""
        if learner not in self._places:
            self._places[learner] = len(self._learners)
            self._learners.append(learner)

    @override
    def discard(self, learner: LearnerId) -> None:
        place = self._places.pop(learner, None)
        if place is None:
            return
        last = self._learners.pop()
        if last != learner:
            self._learners[place], self._places[last] = last, place

    @override
    def draw(self, number: int, round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        return [self.draw_one(rng) for _ in range(min(number, len(self._learners)))]

    def draw_one(self, rng: np.random.Generator) -> LearnerId:
        """Take out one of at least one."""
        learner = self._learners[int(rng.random() * len(self._learners))]
        self.discard(learner)
        return learner

    def sample(self, number: int, rng: np.random.Generator) -> list[LearnerId]:
        """So many different ones, in the order of their ids; all of them stay in."""
        drawn = [self.draw_one(rng) for _ in range(min(number, len(self._learners)))]
        for learner in drawn:
            self.put(learner)
        return sorted(drawn)

    @override
    def __len__(self) -> int:
        return len(self._learners)
