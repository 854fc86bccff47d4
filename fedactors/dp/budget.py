"""How much privacy a federation has spent, and whether another round fits: a function of the rounds committed."""

from __future__ import annotations

from dataclasses import dataclass

from fedactors.dp.accountant import Sampling, epsilon


@dataclass(frozen=True, slots=True)
class PrivacyBudget:
    """What each round costs, and how much there is to spend.

    Attributes:
        noise_multiplier: > 0, of what a round releases: its sum, and with adaptive clipping its count, together.
        delta: in (0, 1).
        epsilon_max: what is never exceeded; None: spending is only told.
        sampling: how a round's learners are drawn.
    """

    noise_multiplier: float
    delta: float
    epsilon_max: float | None = None
    sampling: Sampling = None

    def epsilon(self, rounds: int) -> float:
        """What so many rounds have spent."""
        return epsilon(rounds, self.noise_multiplier, self.delta, self.sampling)

    def exhausted_after(self, rounds: int) -> str | None:
        """Why no round may follow so many, in words; None: one may."""
        if self.epsilon_max is None or (following := self.epsilon(rounds + 1)) <= self.epsilon_max:
            return None
        spent = f"epsilon is {self.epsilon(rounds):.4g} after {rounds} {'round' if rounds == 1 else 'rounds'}"
        limit = f"the limit is {self.epsilon_max:g} at delta {self.delta:g}"
        return f"privacy budget: {spent}, and {following:.4g} with another one; {limit}"
