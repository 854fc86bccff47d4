"""A cohort of a given size out of a selection policy that picks as many as it likes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedactors.model import LearnerId
from fedactors.selection.base import Candidate, Selection
from fedactors.task import Round


def filled(
    selection: Selection, candidates: Sequence[Candidate], size: int, round_: Round, rng: np.random.Generator
) -> list[LearnerId]:
    """So many learners: from the policy's first pick and, where that is too small, from what it picks of the rest.

    Fewer where the policy takes nobody any more. A pick that is more than enough is drawn from.
    """
    cohort: list[LearnerId] = []
    rest = list(candidates)
    while len(cohort) < size and rest:
        more = selection.select(rest, round_, rng)
        if not more:
            break
        cohort += drawn(more, size - len(cohort), rng)
        chosen = frozenset(cohort)
        rest = [candidate for candidate in rest if candidate.learner not in chosen]
    return cohort


def drawn(learners: Sequence[LearnerId], size: int, rng: np.random.Generator) -> list[LearnerId]:
    """At most so many of these, in their order."""
    if len(learners) <= size:
        return list(learners)
    places = rng.permutation(len(learners)).tolist()[:size]
    return [learners[place] for place in sorted(places)]
