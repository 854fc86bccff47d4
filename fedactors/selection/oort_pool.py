"""Oort where learners train without rounds in step: one learner at a time, by utilities that are looked at now and then."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from fedactors.model import LearnerId
from fedactors.selection.candidate import Candidate
from fedactors.selection.oort import Oort, chances
from fedactors.selection.pool import Pool, Urn
from fedactors.selection.weights import Weights
from fedactors.task import Round

LOOK_SHARE = 8
"""Utilities are compared anew when one in so many of the learners that were tried has come or gone."""


class OortPool(Pool):
    """Idle learners, those that were tried apart from those that were not.

    A learner is drawn as one of a cohort of the policy's would be: explored with the cohort's share of that, else by utility. A
    utility depends on everybody's (percentiles, the cut below the last place), so that it is not known of one learner alone:
    all are computed together when an eighth of the learners tried has changed, and at every change while these are fewer than 16.
    Who has come since then is drawn from the next time on.
    """

    def __init__(self, policy: Oort) -> None:
        self._policy = policy
        self._untried = Urn()
        self._tried: dict[LearnerId, Candidate] = {}
        self._chances = Weights()
        self._changes = 0

    @override
    def add(self, candidate: Candidate) -> None:
        self.discard(candidate.learner)
        if candidate.loss is None:
            self._untried.put(candidate.learner)
        else:
            self._tried[candidate.learner] = candidate
            self._changes += 1

    @override
    def discard(self, learner: LearnerId) -> None:
        self._untried.discard(learner)
        if self._tried.pop(learner, None) is not None:
            self._chances.discard(learner)
            self._changes += 1

    @override
    def draw(self, number: int, round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        return [self._draw_one(round_, rng) for _ in range(min(number, len(self)))]

    def _draw_one(self, round_: Round, rng: np.random.Generator) -> LearnerId:
        exploring, exploiting = self._policy.shares(len(self._untried), len(self._tried), round_)
        if rng.random() * (exploring + exploiting) < exploring:
            return self._untried.draw_one(rng)
        if not self._chances.total or self._changes * LOOK_SHARE >= len(self._tried):
            self._look(exploiting, round_)
        learner = self._chances.draw_one(rng)
        self.discard(learner)
        return learner

    def _look(self, exploiting: int, round_: Round) -> None:
        utilities = self._policy.utilities(list(self._tried.values()), round_)
        near = chances(utilities, exploiting).tolist()
        self._chances = Weights({learner: chance for learner, chance in zip(self._tried, near, strict=True) if chance})
        self._changes = 0

    @override
    def __len__(self) -> int:
        return len(self._untried) + len(self._tried)
