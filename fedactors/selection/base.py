"""Who takes part in a round: the interface of every selection policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from fedactors.model import LearnerId
from fedactors.selection.candidate import Candidate
from fedactors.selection.pool import Pool
from fedactors.task import Round

__all__ = ["Candidate", "Pool", "Selection"]


class Selection(ABC):
    """A policy that picks a round's cohort. Implementations are frozen dataclasses whose fields are their options.

    Where learners train without rounds in step, somebody is chosen at each update. A policy that has a `pool` is quick at that,
    however many learners there are; another is asked to `select` from all that are idle.
    """

    @abstractmethod
    def select(self, candidates: Sequence[Candidate], round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        """Pick the cohort of a round.

        Args:
            candidates: every learner that is here, ordered by id; at least one.
            round_: the round to select for, from 1.
            rng: seeded by the run's seed and the round alone, so that a repeated run selects alike.

        Returns:
            Ids of candidates, none twice. None at all means that nobody here may take part: the round waits for who joins.
        """

    def pool(self) -> Pool | None:
        """An empty pool of this policy's; None: it has none, and `takes` and `size` are not asked either."""
        return None

    def takes(self, candidate: Candidate) -> bool:  # noqa: ARG002  # most policies take everybody
        """Whether it would ever pick such a learner."""
        return True

    def size(self, learners: int) -> int:
        """How many it picks of so many learners, >= 1, that it takes: so many train at the same time."""
        return learners
