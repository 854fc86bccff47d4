"""Which learner gives the weights that a federation starts from: drawn at random, alike whenever the run is repeated. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedactors.actors.messages import LearnerJoined
from fedactors.model import LearnerId


class InitialDraw:
    """Who was asked for initial weights, and who has declined.

    A learner that departs and joins anew has to be asked anew: it is known by how it joined.

    Args:
        seed: the run's.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn: LearnerJoined | None = None
        self._declined: dict[LearnerId, str] = {}

    @property
    def troubles(self) -> str:
        """Who has declined, and why, in words."""
        return "; ".join(f"{learner}: {why}" for learner, why in sorted(self._declined.items()))

    def is_out(self, members: Mapping[LearnerId, LearnerJoined]) -> bool:
        """Whether somebody who is still here was drawn, and has not declined."""
        drawn = self._drawn
        return drawn is not None and members.get(drawn.candidate.learner) is drawn

    def draw(self, members: Mapping[LearnerId, LearnerJoined]) -> LearnerJoined | None:
        """The one to ask; None: everybody has declined."""
        willing = sorted(members.keys() - self._declined.keys())
        if not willing:
            return None
        rng = np.random.default_rng([self._seed, len(self._declined)])
        self._drawn = members[willing[int(rng.integers(len(willing)))]]
        return self._drawn

    def decline(self, learner: LearnerId, why: str, members: Mapping[LearnerId, LearnerJoined]) -> bool:
        """A learner gives no weights; whether it is the one that was to."""
        if self._drawn is None or self._drawn.candidate.learner != learner or not self.is_out(members):
            return False
        self._drawn, self._declined[learner] = None, why
        return True

    def forgive(self) -> None:
        """Whoever has declined may be drawn again."""
        self._declined.clear()
