"""What all members of a masked round must agree on, and how many of them must stay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fedactors.errors import ConfigError
from fedactors.privacy.masking.fixed_point import FixedPoint

HOLDERS_MIN = 3
"""The sum of two updates tells each of the two the other's."""

PEERS_MAX = 256
"""Learners that one learner shares masks with, itself included: what fits into a control message."""

Factor: TypeAlias = Literal["examples", "batches", "participants"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What the controller tells each learner when it joins.

    Attributes:
        bits: of a word, 32 or 64.
        clip: above 0: no parameter's difference from its base counts as more.
        factor_max: >= 1: the largest factor that an update may have.
        threshold: in [0.5, 1]: the share of a learner's neighbours, itself included, that must stay.
        neighbours: with whom a learner shares masks, an even number; 0: with everybody.
        factor: what an update's factor is, of its report.
        hide_reports: reports travel without counts and metrics.
    """

    bits: int = 32
    clip: float = 4.0
    factor_max: int = 10_000
    threshold: float = 2 / 3
    neighbours: int = 0
    factor: Factor = "examples"
    hide_reports: bool = False

    def __post_init__(self) -> None:
        if self.bits not in {32, 64}:
            raise ConfigError(f"masking has bits = {self.bits}; a word has 32 or 64")
        if not 0 < self.clip < math.inf:
            raise ConfigError(f"masking has clip = {self.clip}; give the largest difference of a parameter, above 0")
        if not 1 <= self.factor_max < 2**31:
            raise ConfigError(f"masking has factor_max = {self.factor_max}; give the largest factor of an update, 1 to 2^31 - 1")
        if not 0.5 <= self.threshold <= 1:
            raise ConfigError(
                f"masking has threshold = {self.threshold}; give the share of learners that must stay, from 0.5 to 1"
            )

        if self.neighbours % 2 or not (self.neighbours == 0 or HOLDERS_MIN <= self.neighbours < PEERS_MAX):
            said = f"masking has neighbours = {self.neighbours}"
            raise ConfigError(f"{said}; give an even number from {HOLDERS_MIN + 1} to {PEERS_MAX - 2}, or 0 for everybody")

    def holders(self, learners: int) -> int:
        """Who holds the shares of a learner's secrets, itself included, in a round that begins with so many learners."""
        return min(learners, self.neighbours + 1) if self.neighbours else learners

    def needed(self, learners: int) -> int:
        """t: how many of those holders must stay; always more than half, and 3."""
        holders = self.holders(learners)
        return max(HOLDERS_MIN, math.ceil(round(self.threshold * holders, 9)), holders // 2 + 1)

    def fixed_point(self, learners: int) -> FixedPoint:
        """How differences are written in a round that begins with so many learners.

        Raises:
            ModelError: their sum does not fit.
        """
        factor_max = 1 if self.factor == "participants" else self.factor_max
        return FixedPoint(self.bits, self.clip, factor_max, learners)
