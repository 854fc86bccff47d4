"""Partial participation, every learner with the same chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from fedactors.errors import ConfigError
from fedactors.model import LearnerId
from fedactors.selection.base import Candidate, Selection
from fedactors.selection.pool import Pool, Urn
from fedactors.task import Round


@dataclass(frozen=True, slots=True)
class Uniform(Selection):
    """A part of the learners that are here, drawn uniformly without replacement; exactly one of the two options is given.

    Attributes:
        fraction: C in (0, 1]; max(1, C K rounded to the nearest integer) of K learners take part.
        count: >= 1; so many learners take part, or all where fewer are here.

    Source: McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017, Algorithm 1,
    arXiv:1602.05629.
    """

    fraction: float | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if (self.fraction is None) == (self.count is None):
            given = f"fraction={self.fraction}, count={self.count}"
            raise ConfigError(f"selection 'uniform' takes either a fraction or a count; it was given {given}")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise ConfigError(f"selection 'uniform' has fraction={self.fraction}; a fraction is above 0 and at most 1")
        if self.count is not None and self.count < 1:
            raise ConfigError(f"selection 'uniform' has count={self.count}; at least 1 learner takes part")

    @override
    def select(self, candidates: Sequence[Candidate], round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        drawn = rng.choice(len(candidates), size=self.size(len(candidates)), replace=False)
        return [candidates[index].learner for index in sorted(drawn.tolist())]

    @override
    def pool(self) -> Pool:
        return Urn()

    @override
    def size(self, learners: int) -> int:
        if self.count is not None:
            return min(self.count, learners)
        assert self.fraction is not None, "held by __post_init__"
        return max(1, round(self.fraction * learners))
