"""Who shares masks with whom: everybody with everybody, or each with its neighbours on a ring drawn at random. Pure.

With k neighbours each, a learner's and the controller's work grows with k instead of with the number of learners. The ring is
drawn anew each round, so that nobody can choose whom to stand beside.

Source: Bell et al., Secure Single-Server Aggregation with (Poly)Logarithmic Overhead, CCS 2020, Algorithm 2 (a Harary graph on a
random permutation), doi:10.1145/3372297.3417885.
"""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from fedactors.model import LearnerId


def holders(learners: Collection[LearnerId], neighbours: int, random: Random) -> dict[LearnerId, frozenset[LearnerId]]:
    """For each learner, itself and whom it shares masks with; the relation goes both ways.

    Args:
        learners: who takes part.
        neighbours: k, even; 0, or as many as there are others: everybody.
        random: draws the ring.
    """
    ring = sorted(learners)
    if neighbours == 0 or neighbours >= len(ring) - 1:
        return dict.fromkeys(ring, frozenset(ring))
    random.shuffle(ring)
    half = neighbours // 2
    twice = [*ring, *ring]
    return {learner: frozenset(twice[(place - half) % len(ring) :][: neighbours + 1]) for place, learner in enumerate(ring)}
