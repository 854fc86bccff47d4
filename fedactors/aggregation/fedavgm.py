"""Momentum on the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from fedactors.aggregation.server import ServerOptimiser, Stepper
from fedactors.errors import ConfigError
from fedactors.model import Array, Weights


@dataclass(frozen=True, slots=True)
class FedAvgM(ServerOptimiser):
    """Heavy-ball momentum on the server, with the cohort's combined update as its gradient.

    With combined update d:  m <- b m + d;  x <- x + eta m.

    Attributes:
        server_learning_rate: eta > 0, dimensionless.
        momentum: b in [0, 1); 0 and eta = 1: what was combined.

    Source: Hsu, Qi and Brown, Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification, 2019,
    section 4.3, arXiv:1909.06335. There eta is 1.
    """

    server_learning_rate: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if not self.server_learning_rate > 0:
            raise ConfigError(f"fedavgm has server_learning_rate={self.server_learning_rate}; give a number above 0")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"fedavgm has momentum={self.momentum}; give a number from 0 to below 1")

    @override
    def stepper(self, size: int, dtype: np.dtype[Any]) -> Stepper:
        return Momentum(self, size, dtype)


class Momentum(Stepper):
    """m."""

    def __init__(self, options: FedAvgM, size: int, dtype: np.dtype[Any]) -> None:
        self._eta = dtype.type(options.server_learning_rate)
        self._b = dtype.type(options.momentum)
        self._m = np.zeros(size, dtype)

    @override
    def step(self, at: slice, delta: Array) -> None:
        m = self._m[at]
        np.multiply(m, self._b, out=m)
        np.add(m, delta, out=m)
        np.multiply(m, self._eta, out=delta)

    @override
    def state(self) -> Weights:
        return {"m": self._m}
