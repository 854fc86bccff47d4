"""Masking, as the configuration names it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedactors.errors import ConfigError
from fedactors.privacy.base import SecureAggregation
from fedactors.privacy.masking.form import MaskedForm
from fedactors.privacy.masking.terms import Factor


@dataclass(frozen=True, slots=True)
class Masking(SecureAggregation):
    """Each update leaves its learner under masks that cancel in the sum of a round, if enough of its learners stay.

    The controller learns the sum of a round's updates and factors, and of no update more than its learner's report says. It is
    expected to follow the protocol and to tell the truth about who dropped out; with fewer than the threshold of a round's
    learners it can conspire.

    Attributes:
        bits: of a word, 32 (4 bytes for a parameter, as float32) or 64.
        clip: the largest difference of a parameter from its base that counts in full; what is beyond counts as this.
        factor_max: the largest factor that an update may have, a whole number: examples or batches; a learner with a larger one
            is refused. The mean of N updates is off by clip N / 2^bits times factor_max over their mean factor, at most.
        threshold: the share of a round's learners, or of each one's neighbours, that must stay for its sum to be read, from 0.5
            to 1: at least 3, and always more than half. So many must conspire with the controller to read an update.
        neighbours: with how many others a learner shares masks, an even number; 0: with all of them, 255 at most.
        hide_reports: reports travel without counts and metrics; by default they show the controller how many examples there are.
        stage_timeout_s: how long a stage of the dialogue waits for learners that do not answer.

    Source: Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving Machine Learning, CCS 2017,
    doi:10.1145/3133956.3133982, for honest-but-curious parties; neighbours as in Bell et al., Secure Single-Server Aggregation
    with (Poly)Logarithmic Overhead, CCS 2020, doi:10.1145/3372297.3417885.
    """

    bits: int = 32
    clip: float = 4.0
    factor_max: int = 10_000
    threshold: float = 2 / 3
    neighbours: int = 0
    hide_reports: bool = False
    stage_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        self.form("examples")
        if not 0 < self.stage_timeout_s < math.inf:
            raise ConfigError(f"masking has stage_timeout_s = {self.stage_timeout_s}; give seconds above 0")

    def form(self, factor: Factor) -> MaskedForm:
        """In which updates travel, given what their factors are."""
        return MaskedForm(self.bits, self.clip, self.factor_max, self.threshold, self.neighbours, factor, self.hide_reports)
