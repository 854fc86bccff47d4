"""Adaptive clipping: the clip norm follows a quantile of the updates' norms, of which only a noisy count is looked at.

    b_i = 1 where |d_i| <= C, else 0                               whether an update was not clipped
    b~  = 1/2 + (sum (b_i - 1/2) + N(0, s_b^2)) / n                their share, with noise
    C  <- C exp(-eta (b~ - gamma))

A counted b_i - 1/2 is worth 1/2 at most, so that its noise multiplier is 2 s_b. Clipped sum and count together have the noise
multiplier z if the sum's is

    z_d = (z^-2 - (2 s_b)^-2)^(-1/2)

Source: Andrew, Thakkar, McMahan, Ramaswamy, Differentially Private Learning with Adaptive Clipping, NeurIPS 2021, Algorithm 1
and Theorem 1, arXiv:1905.03871. Deviation: n is the expected cohort's size and not that of the updates at hand, so that one that
is missing changes the count by no more than a half; it counts as half clipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedactors.errors import ConfigError

COUNT_NOISE_SHARE = 20
"""The paper's s_b: a twentieth of the cohort."""


@dataclass(frozen=True, slots=True)
class Adaptive:
    """How the clip norm adapts.

    Attributes:
        quantile: gamma in (0, 1); so many of the updates shall not be clipped.
        learning_rate: eta > 0, of the clip norm's logarithm.
        count_noise: s_b > 0, standard deviation of the noise on the count.
    """

    quantile: float
    learning_rate: float
    count_noise: float

    def next_norm(self, clip_norm: float, surplus: float, cohort: int) -> float:
        """The next round's clip norm.

        Args:
            clip_norm: C > 0, this round's.
            surplus: sum (b_i - 1/2), with its noise.
            cohort: n >= 1.
        """
        share = 0.5 + surplus / cohort
        return clip_norm * math.exp(-self.learning_rate * (share - self.quantile))

    def sum_multiplier(self, noise_multiplier: float) -> float:
        """z_d, of the sum's noise, if sum and count together shall have z.

        Raises:
            ConfigError: the count alone has less noise than that.
        """
        left = noise_multiplier**-2 - (2 * self.count_noise) ** -2
        if left <= 0:
            said = f"dp.adaptive.count_noise = {self.count_noise:g} is too little for dp.noise_multiplier = {noise_multiplier:g}"
            raise ConfigError(f"{said}: give more than {noise_multiplier / 2:g}, or leave it out")
        return float(left**-0.5)


def default_count_noise(cohort: int, noise_multiplier: float) -> float:
    """The paper's n / 20; of a small cohort at least z, which makes the sum's noise greater by 15 %."""
    return max(cohort / COUNT_NOISE_SHARE, noise_multiplier)
