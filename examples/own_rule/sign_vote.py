"""Every weight moves by the same distance, in the direction that the round's updates agree on."""

from dataclasses import dataclass

import numpy as np

from fedactors.aggregation.server import ServerOptimiser, Stepper
from fedactors.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SignVote(ServerOptimiser, Stepper):
    """A step of one size along the sign of the combined update d: x <- x + eta sign(d), coordinate by coordinate.

    With combine = "median" this is signSGD with majority vote: the median of an odd number of updates lies above x exactly where
    more than half of them do. No learner has more than one vote, and none can move a weight by more than eta.

    Attributes:
        step_size: eta > 0, in units of the weights.

    Source: Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, ICML 2018, Algorithm 3, arXiv:1802.04434.
    There a worker votes with one stochastic gradient, here with all that it has learnt in a round.
    """

    step_size: float = 0.01

    def __post_init__(self):
        if not self.step_size > 0:
            raise ConfigError(f"sign_vote has step_size={self.step_size}; give a number above 0")

    def stepper(self, size, dtype):
        return self  # nothing is remembered from round to round

    def step(self, at, delta):
        np.sign(delta, out=delta)
        delta *= delta.dtype.type(self.step_size)
