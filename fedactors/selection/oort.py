"""Partial participation, by how much a learner's data still teaches and how fast it does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from fedactors.errors import ConfigError
from fedactors.model import Array, LearnerId
from fedactors.selection.base import Candidate, Selection
from fedactors.selection.pool import Pool
from fedactors.task import Round

CUTOFF = 0.95
"""Share of the last fitting utility that a learner must have to be drawn (c in the paper)."""

CLIP_PERCENTILE = 95.0
"""Utilities beyond this percentile are cut to it, so that outliers do not take every round."""

LOSS_MAX = 1e12
"""Larger losses count as this, so that no report makes a utility infinite."""


@dataclass(frozen=True, slots=True)
class Oort(Selection):
    """Learners whose losses are large and that answer in time; a share of the round tries learners that nothing is known of.

    Util(i) = |B_i| loss_i + sqrt(0.1 ln R / L_i), times (T / t_i)^alpha where t_i > T. Of the round R's `count` learners, the
    share epsilon is drawn uniformly from those not tried yet; the others are drawn, with probabilities by utility, from those
    whose utility is at least CUTOFF times the one of the last place. Utilities are scaled to [0, 1] before the term of time.

    Symbols: |B_i| is `num_examples` as declared (1 where none is), loss_i the loss reported last, L_i the last round of i, t_i
    the seconds from its task to its update, T the percentile `preferred_percentile` of all t_i that are known. A learner that
    reports no metric `loss` stays untried: where nobody does, everybody has the same chance.

    Attributes:
        count: >= 1; so many learners take part, or all where fewer are here.
        explore: epsilon in the first round, in [0, 1].
        explore_decay: factor on epsilon for each round, in (0, 1].
        explore_min: epsilon never falls below, in [0, explore].
        penalty: alpha >= 0, how much being slower than T costs; 0: nothing.
        preferred_percentile: in (0, 100]; T is such that this share of the known learners is not slower.

    Source: Lai, Zhu, Madhyastha, Chowdhury, Oort: Efficient Federated Learning via Guided Participant Selection, OSDI 2021,
    Algorithm 1, equations 1 and 2, arXiv:2010.06081. Deviations, because a policy here is a pure function of what is known of the
    candidates: the mean loss stands for the root of the mean squared loss, which learners do not report; T is a percentile
    instead of being paced by the utility of earlier rounds; untried learners are drawn uniformly, for their speed is not known;
    nobody is left out for having taken part often.
    """

    count: int
    explore: float = 0.9
    explore_decay: float = 0.98
    explore_min: float = 0.2
    penalty: float = 2.0
    preferred_percentile: float = 80.0

    def __post_init__(self) -> None:
        sound = {
            "count": self.count >= 1,
            "explore": 0 <= self.explore <= 1,
            "explore_decay": 0 < self.explore_decay <= 1,
            "explore_min": 0 <= self.explore_min <= self.explore,
            "penalty": 0 <= self.penalty < math.inf,
            "preferred_percentile": 0 < self.preferred_percentile <= 100,
        }
        for name, is_sound in sound.items():
            if not is_sound:
                raise ConfigError(f"selection 'oort' has {name}={getattr(self, name)}, which is out of its range")

    @override
    def select(self, candidates: Sequence[Candidate], round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        tried = [place for place, candidate in enumerate(candidates) if candidate.loss is not None]
        untried = [place for place, candidate in enumerate(candidates) if candidate.loss is None]
        exploring, exploiting = self.shares(len(untried), len(tried), round_)
        chosen = [untried[place] for place in rng.permutation(len(untried)).tolist()[:exploring]]
        if exploiting:
            utilities = self.utilities([candidates[place] for place in tried], round_)
            chosen += [tried[place] for place in _drawn_by_utility(utilities, exploiting, rng)]
        return [candidates[place].learner for place in sorted(chosen)]

    @override
    def pool(self) -> Pool:
        from fedactors.selection.oort_pool import OortPool  # which is made of this policy

        return OortPool(self)

    @override
    def size(self, learners: int) -> int:
        return min(self.count, learners)

    def shares(self, untried: int, tried: int, round_: Round) -> tuple[int, int]:
        """How many of a cohort explore, and how many exploit, where so many are there of each kind."""
        size = self.size(untried + tried)
        exploring = min(round(self._epsilon(round_) * size), untried)
        exploiting = min(size - exploring, tried)
        return size - exploiting, exploiting

    def _epsilon(self, round_: Round) -> float:
        return max(self.explore_min, self.explore * self.explore_decay ** (round_ - 1))

    def utilities(self, tried: Sequence[Candidate], round_: Round) -> Array:
        """float64[len(tried)], >= 0: the utility of candidates whose loss is known."""
        losses = np.clip([candidate.loss or 0.0 for candidate in tried], 0.0, LOSS_MAX)
        statistical = np.array([max(candidate.num_examples, 1) for candidate in tried], np.float64) * losses
        statistical = _scaled(np.minimum(statistical, np.percentile(statistical, CLIP_PERCENTILE)))
        last = np.array([candidate.last_round or 1 for candidate in tried])
        utilities = statistical + np.sqrt(0.1 * math.log(max(round_, 1)) / last)
        return np.asarray(utilities * self._slowness(tried))

    def _slowness(self, tried: Sequence[Candidate]) -> Array:
        """The factor (T / t_i)^alpha of who is slower than T; 1 for everybody else."""
        known = np.array([candidate.duration_s for candidate in tried if candidate.duration_s], np.float64)
        factors = np.ones(len(tried))
        if not known.size:
            return factors
        preferred_s = float(np.percentile(known, self.preferred_percentile))
        durations = np.array([candidate.duration_s or preferred_s for candidate in tried])
        slow = durations > preferred_s
        factors[slow] = (preferred_s / durations[slow]) ** self.penalty
        return factors


def _scaled(values: Array) -> Array:
    """To [0, 1]; all 1 where they are alike."""
    least, most = float(values.min()), float(values.max())
    return np.ones(len(values)) if most == least else np.asarray((values - least) / (most - least))


def chances(utilities: Array, number: int) -> Array:
    """float64[len(utilities)], not normalised: above 0 for those that come near the best `number`, 0 for the others."""
    last_fitting = float(np.sort(utilities)[-number])
    shares = utilities + max(float(utilities.max()), 1.0) * 1e-9  # none of those near is 0: all can be drawn
    return np.where(utilities >= CUTOFF * last_fitting, shares, 0.0)


def _drawn_by_utility(utilities: Array, number: int, rng: np.random.Generator) -> list[int]:
    """So many places, drawn by utility from those that come near the best `number`."""
    every = chances(utilities, number)
    near = np.flatnonzero(every)
    shares = every[near]
    drawn: list[int] = near[rng.choice(len(near), size=number, replace=False, p=shares / shares.sum())].tolist()
    return drawn
