"""Who is in the open round, and why it cannot be combined: the part that all rules have in common."""

from __future__ import annotations

import math

from fedactors.aggregation.base import Contribution
from fedactors.errors import ModelError
from fedactors.model import LearnerId

NAMES_MAX = 10
"""Learners that an error names; the rest is counted."""


class Roll:
    """The learners of the open round, and how many of their updates count."""

    def __init__(self) -> None:
        self._learners: list[LearnerId] = []
        self._counting = 0

    def enter(self, contribution: Contribution) -> bool:
        """Note an update; whether it counts, that is, has a factor above 0."""
        assert math.isfinite(contribution.factor), f"{contribution.learner} has factor {contribution.factor}"
        assert contribution.factor >= 0, f"{contribution.learner} has factor {contribution.factor}"
        self._learners.append(contribution.learner)
        self._counting += contribution.factor > 0
        return contribution.factor > 0

    def close(self, *, updates_min: int = 1, needed_by: str = "") -> None:
        """The round is over.

        Args:
            updates_min: updates that must count.
            needed_by: who needs so many.

        Raises:
            ModelError: nothing was added, nothing of it counts, or too little; the message names the learners.
        """
        learners, counting = self._learners, self._counting
        self.clear()
        if not learners:
            raise ModelError("there is nothing to combine: no update was added")
        if not counting:
            raise ModelError(f"the updates' factors sum to zero: {named(learners)} reported nothing that they are weighted by")
        if counting < updates_min:
            raise ModelError(f"{needed_by} needs {updates_min} updates in a round, and {counting} count: {named(learners)}")

    def clear(self) -> None:
        """The round is over, and nothing comes of it."""
        self._learners, self._counting = [], 0


def named(learners: list[LearnerId]) -> str:
    """The first learners by name, the others by number."""
    rest = len(learners) - NAMES_MAX
    return ", ".join(sorted(learners)[:NAMES_MAX]) + (f" and {rest} more" if rest > 0 else "")
