"""Who takes part in a round: the interface of every selection policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from fedactors.model import LearnerId
from fedactors.task import Round


@dataclass(frozen=True, slots=True)
class Candidate:
    """A learner that could take part, and what is known of it since it joined.

    Attributes:
        learner: its id.
        num_examples: the size of its training data, as declared when it joined.
        tags: labels it declared when it joined.
        loss: the metric `loss` of its latest training or, where it reports none, of its latest evaluation; None: not known.
        duration_s: seconds from its latest training task to the update; None: not known.
        last_round: the latest round in which it was given a training task; None: it never was.
        last_task: a number that grows with every training task that anybody is given, of its latest one; None: it had none.
        ms_per_batch, ms_per_epoch: milliseconds, of its latest training that reported them; 0: not known.
    """

    learner: LearnerId
    num_examples: int = 0
    tags: frozenset[str] = field(default_factory=frozenset)
    loss: float | None = None
    duration_s: float | None = None
    last_round: Round | None = None
    last_task: int | None = None
    ms_per_batch: float = 0.0
    ms_per_epoch: float = 0.0


class Selection(ABC):
    """A policy that picks a round's cohort. Implementations are frozen dataclasses whose fields are their options.

    Attributes:
        takes_everyone: it picks every candidate, always: protocols then need not ask it.
    """

    takes_everyone: ClassVar[bool] = False

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
