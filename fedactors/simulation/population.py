"""Who takes part in a simulation: how fast, how far away, how reliable each virtual learner is. Pure, and drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedactors.config import Config


@dataclass(frozen=True, slots=True)
class Population:
    """Distributions that virtual learners are drawn from. Times are in seconds of virtual time.

    Attributes:
        epoch_s: median time of one pass over the local data, > 0, log-normal over the learners.
        spread: sigma of that log-normal's logarithm, >= 0; 0: all are alike.
        straggler_fraction: share of learners, in [0, 1], that are slower by `straggler_factor`.
        straggler_factor: >= 1.
        batches_per_epoch: batches in one pass, >= 1, for learners that train for a number of steps.
        delay_s: median time that a task or an update is under way, >= 0, log-normal over the learners with `spread`.
        failure_rate: chance, in [0, 1), that a learner vanishes while it is at a training task.
        away_s: mean time until it is back, exponential, > 0.
        examples_min: least size of a learner's data, >= 1; sizes are uniform. Where learners really train, their own count.
        examples_max: greatest size of a learner's data.
    """

    epoch_s: float = 10.0
    spread: float = 0.25
    straggler_fraction: float = 0.0
    straggler_factor: float = 5.0
    batches_per_epoch: int = 10
    delay_s: float = 0.1
    failure_rate: float = 0.0
    away_s: float = 600.0
    examples_min: int = 50
    examples_max: int = 500

    @classmethod
    def of(cls, config: Config) -> Population:
        """As the table [simulation] says, whose ranges were checked when it was read."""
        return cls(**config.simulation.model_dump())

    def draw(self, learners: int, seed: int) -> Profiles:
        """The learners' profiles: the same for the same number and seed."""
        rng = np.random.default_rng([seed, learners])
        epoch_s = self.epoch_s * np.exp(self.spread * rng.standard_normal(learners))
        stragglers = rng.permutation(learners) < round(self.straggler_fraction * learners)
        epoch_s[stragglers] *= self.straggler_factor
        delay_s = self.delay_s * np.exp(self.spread * rng.standard_normal(learners))
        examples = rng.integers(self.examples_min, self.examples_max, size=learners, endpoint=True)
        return Profiles(self, epoch_s, delay_s, examples, stragglers)


@dataclass(frozen=True, slots=True, eq=False)
class Profiles:
    """Every virtual learner's own figures.

    Attributes:
        population: they were drawn from.
        epoch_s: float64[learners], one pass over the local data.
        delay_s: float64[learners], one way.
        examples: int64[learners].
        stragglers: bool[learners].
    """

    population: Population
    epoch_s: npt.NDArray[np.float64]
    delay_s: npt.NDArray[np.float64]
    examples: npt.NDArray[np.int64]
    stragglers: npt.NDArray[np.bool_]

    def of(self, index: int) -> Profile:
        """One learner's figures."""
        return Profile(
            epoch_s=float(self.epoch_s[index]),
            batch_s=float(self.epoch_s[index]) / self.population.batches_per_epoch,
            delay_s=float(self.delay_s[index]),
            examples=int(self.examples[index]),
            failure_rate=self.population.failure_rate,
            away_s=self.population.away_s,
        )

    def summary(self) -> dict[str, Any]:
        """What was drawn, for people to read."""
        return {
            "learners": len(self.epoch_s),
            "stragglers": int(self.stragglers.sum()),
            "epoch_s": {name: float(np.quantile(self.epoch_s, q)) for name, q in (("p5", 0.05), ("p50", 0.5), ("p95", 0.95))},
        }


@dataclass(frozen=True, slots=True)
class Profile:
    """One virtual learner; see `Population`."""

    epoch_s: float
    batch_s: float
    delay_s: float
    examples: int
    failure_rate: float
    away_s: float

    def training_s(self, epochs: float, steps: int | None) -> float:
        """How long a training task takes, without its way."""
        return steps * self.batch_s if steps is not None else epochs * self.epoch_s
