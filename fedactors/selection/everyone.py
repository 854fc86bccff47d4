"""Full participation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from fedactors.model import LearnerId
from fedactors.selection.base import Candidate, Selection
from fedactors.selection.pool import Pool, Queue
from fedactors.task import Round


@dataclass(frozen=True, slots=True)
class Everyone(Selection):
    """Every learner that is here."""

    @override
    def select(self, candidates: Sequence[Candidate], round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        return [candidate.learner for candidate in candidates]

    @override
    def pool(self) -> Pool:
        return Queue()
