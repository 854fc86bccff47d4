"""Partial participation, biased towards learners on which the model is worst."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from fedactors.errors import ConfigError
from fedactors.model import LearnerId
from fedactors.selection.base import Candidate, Selection
from fedactors.selection.pool import Pool, Urn
from fedactors.selection.weights import Weights
from fedactors.task import Round


@dataclass(frozen=True, slots=True)
class PowerOfChoice(Selection):
    """Of d learners, drawn without replacement with probabilities p_k = n_k / sum n, the m with the largest loss.

    The larger d, the stronger the bias: d = m draws by the size of the data alone. Where no learner declares a size, all have the
    same probability; one without data is drawn only where the others are fewer than d. Losses are those that learners reported
    last with their training (metric `loss`; with their evaluation where training reports none); one that is not known counts as
    infinite, so that everybody is tried; equal ones are drawn among.

    Attributes:
        count: m >= 1; so many learners take part, or all where fewer are here.
        candidates: d >= m.

    Source: Cho, Wang, Joshi, Client Selection in Federated Learning: Convergence Analysis and Power-of-Choice Selection
    Strategies, 2020, Algorithm 1, arXiv:2010.01243. Deviation: the variant of section 5 without extra communication
    (pi_rpow-d): losses of the latest participation instead of an evaluation of the current model by all d.
    """

    count: int
    candidates: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"selection 'power_of_choice' has count={self.count}; at least 1 learner takes part")
        if self.candidates < self.count:
            given = f"candidates={self.candidates} and count={self.count}"
            raise ConfigError(f"selection 'power_of_choice' has {given}; it chooses from at least as many as it takes")

    @override
    def select(self, candidates: Sequence[Candidate], round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        drawn = _drawn_by_size(candidates, min(self.candidates, len(candidates)), rng)
        worst_first = sorted(drawn, key=lambda place: -_loss(candidates[place]))  # stable: equal ones stay in random order
        return [candidates[place].learner for place in sorted(worst_first[: self.count])]

    @override
    def pool(self) -> Pool:
        return Worst(self)

    @override
    def size(self, learners: int) -> int:
        return min(self.count, learners)


class Worst(Pool):
    """Idle learners; of d that are drawn by the size of their data, those with the largest loss are taken, others put back."""

    def __init__(self, policy: PowerOfChoice) -> None:
        self._policy = policy
        self._known: dict[LearnerId, Candidate] = {}
        self._by_size = Weights()
        self._without_data = Urn()

    @override
    def add(self, candidate: Candidate) -> None:
        self.discard(candidate.learner)
        self._known[candidate.learner] = candidate
        self._put(candidate.learner)

    def _put(self, learner: LearnerId) -> None:
        if size := self._known[learner].num_examples:
            self._by_size.put(learner, size)
        else:
            self._without_data.put(learner)

    @override
    def discard(self, learner: LearnerId) -> None:
        self._known.pop(learner, None)
        self._by_size.discard(learner)
        self._without_data.discard(learner)

    @override
    def draw(self, number: int, round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        taken: list[LearnerId] = []
        while self._known and len(taken) < number:
            taken += self._choose(number - len(taken), rng)
        return taken

    def _choose(self, number: int, rng: np.random.Generator) -> list[LearnerId]:
        """As one cohort of the policy's, and if that is too many, some of them."""
        drawn = [self._draw_one(rng) for _ in range(min(self._policy.candidates, len(self._known)))]
        cohort = Urn(sorted(drawn, key=lambda learner: -_loss(self._known[learner]))[: self._policy.count])
        taken = cohort.draw(number, 0, rng)
        for learner in drawn:
            if learner in taken:
                del self._known[learner]
            else:
                self._put(learner)
        return taken

    def _draw_one(self, rng: np.random.Generator) -> LearnerId:
        return self._by_size.draw_one(rng) if self._by_size.total else self._without_data.draw_one(rng)

    @override
    def __len__(self) -> int:
        return len(self._known)


def _drawn_by_size(candidates: Sequence[Candidate], number: int, rng: np.random.Generator) -> list[int]:
    """Places in random order; those of candidates without data come in only when no others are left."""
    sizes = np.array([candidate.num_examples for candidate in candidates], np.float64)
    with_data = int(np.count_nonzero(sizes))
    if not with_data:
        sizes, with_data = np.ones(len(candidates)), len(candidates)
    size = min(number, with_data)
    drawn = rng.permutation(rng.choice(len(candidates), size=size, replace=False, p=sizes / sizes.sum()))
    rest = rng.permutation(np.flatnonzero(sizes == 0))
    places: list[int] = [*drawn.tolist(), *rest.tolist()[: number - size]]
    return places


def _loss(candidate: Candidate) -> float:
    return math.inf if candidate.loss is None else candidate.loss
