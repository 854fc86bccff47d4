"""A learner that clips its updates and adds noise to them itself: nobody else need be trusted with what it has learnt.

    y~ = x + min(1, C / |y - x|) (y - x) + N(0, (z C)^2)          for each floating-point tensor; all others stay as in x

Whatever a learner's data are, its clipped update is within 2 C of any other, so that what it sends is differentially private with
noise multiplier z / 2 for all of its data. Updates add up.

Source: Kasiviswanathan et al., What Can We Learn Privately?, SIAM J. Comput. 40(3), 2011, arXiv:0803.0924, with the Gaussian
mechanism.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fedactors.dp.accountant import epsilon
from fedactors.dp.noise import Gaussian, Noise, SecureNoise, grid
from fedactors.errors import PrivacyBudgetSpent
from fedactors.model import Array, Weights

EPSILON = "epsilon"
"""The metric by which a learner says what it has spent."""


@dataclass(frozen=True, slots=True)
class LocalPrivacy:
    """What a learner is asked to do to its updates.

    Attributes:
        clip_norm: C > 0.
        noise_multiplier: z > 0; each parameter's noise has the standard deviation z C.
        delta: in (0, 1).
    """

    clip_norm: float
    noise_multiplier: float
    delta: float

    def epsilon(self, updates: int) -> float:
        """What so many updates of one learner have spent."""
        return epsilon(updates, self.noise_multiplier / 2, self.delta)


@dataclass(slots=True)
class Protection:
    """A learner's updates, protected, and what they have spent.

    Attributes:
        terms: what is done.
        epsilon_max: the learner's own limit; None: it has none.
        noise: where it comes from.
        spent: updates that were protected, or that an earlier process of this learner may have sent.
    """

    terms: LocalPrivacy
    epsilon_max: float | None = None
    noise: Noise = field(default_factory=SecureNoise)
    spent: int = 0
    _has_begun: bool = False

    def admit(self, round_: int) -> None:
        """See that another update, of a task of this round, may be sent.

        A learner that begins in a later round may have been here before, in another process: it counts an update for each round.

        Raises:
            PrivacyBudgetSpent: it would exceed the learner's own limit.
        """
        if not self._has_begun:
            self.spent, self._has_begun = max(self.spent, round_ - 1), True
        if self.epsilon_max is None or (following := self.terms.epsilon(self.spent + 1)) <= self.epsilon_max:
            return
        raise PrivacyBudgetSpent(
            f"the learner's privacy budget is spent: epsilon would be {following:.4g} after another update, and its limit is "
            f"{self.epsilon_max:g} at delta {self.terms.delta:g}"
        )

    def protect(self, trained: Weights, received: Weights) -> dict[str, Array]:
        """What may leave the learner in place of the weights that it trained from those that it received; counts as sent."""
        self.spent += 1
        deltas = {name: _delta(array, received[name]) for name, array in trained.items() if _is_floating(array)}
        length = float(np.sqrt(sum(float(np.dot(delta, delta)) for delta in deltas.values())))
        scale = min(1.0, self.terms.clip_norm / length) if np.isfinite(length) and length > 0 else 0.0
        gaussian = self.noise.release(self.spent)
        return {
            name: self._noised(received[name], deltas[name] * scale if scale else None, gaussian, place)
            if name in deltas
            else np.array(received[name])
            for place, name in enumerate(trained)
        }

    def _noised(self, base: Array, delta: Array | None, gaussian: Gaussian, place: int) -> Array:
        deviation = self.terms.noise_multiplier * self.terms.clip_norm
        step, noise = grid(deviation), np.empty(base.size)
        gaussian.fill(noise, place)
        noise *= deviation
        if delta is not None:
            noise += delta
        np.rint(noise / step, out=noise)
        noise *= step
        return np.asarray((base.astype(np.float64) + noise.reshape(base.shape)).astype(base.dtype))

    @property
    def epsilon(self) -> float:
        """What has been spent."""
        return self.terms.epsilon(self.spent)


def _is_floating(array: Array) -> bool:
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def _delta(trained: Array, received: Array) -> Array:
    return np.subtract(trained, received, dtype=np.float64, casting="unsafe").reshape(-1)
