"""Full participation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.model import LearnerId
from fedactors.selection.base import Candidate, Selection
from fedactors.task import Round


@dataclass(frozen=True, slots=True)
class Everyone(Selection):
    """Every learner that is here."""

    takes_everyone: ClassVar[bool] = True

    @override
    def select(self, candidates: Sequence[Candidate], round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        return [candidate.learner for candidate in candidates]
