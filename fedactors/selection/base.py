"""Who takes part in a round: the interface of every selection policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fedactors.model import LearnerId
from fedactors.task import Round


@dataclass(frozen=True, slots=True)
class Candidate:
    """A learner that could take part.

    Attributes:
        learner: its id.
        num_examples: the size of its training data, as declared when it joined.
        tags: labels it declared when it joined.
    """

    learner: LearnerId
    num_examples: int = 0
    tags: frozenset[str] = field(default_factory=frozenset)


class Selection(ABC):
    """A policy that picks a round's cohort. Implementations are frozen dataclasses whose fields are their options."""

    @abstractmethod
    def select(self, candidates: Sequence[Candidate], round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        """Pick the cohort of a round.

        Args:
            candidates: every learner that is here, ordered by id; at least one.
            round_: the round to select for, from 1.
            rng: seeded by the run's seed and the round alone, so that a repeated run selects alike.

        Returns:
            At least one id, none twice, all of them candidates.
        """
