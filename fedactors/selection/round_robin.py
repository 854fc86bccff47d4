"""Partial participation, everybody in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from fedactors.errors import ConfigError
from fedactors.model import LearnerId
from fedactors.selection.base import Candidate, Selection
from fedactors.task import Round


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


def _turn(candidate: Candidate) -> tuple[int, LearnerId]:
    return candidate.last_task or 0, candidate.learner
