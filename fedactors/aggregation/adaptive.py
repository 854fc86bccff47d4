"""What fedadagrad, fedyogi and fedadam have in common: m / (sqrt(v) + tau), each with a v of its own."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from typing_extensions import override

from fedactors.aggregation._kernels import BLOCK
from fedactors.aggregation._scratch import Scratch
from fedactors.aggregation.server import ServerOptimiser, Stepper
from fedactors.errors import ConfigError
from fedactors.model import Array, Weights


class Adaptive(ServerOptimiser):
    """m <- b1 m + (1-b1) d;  v <- second_moment(v, d^2);  x <- x + eta m / (sqrt(v) + tau); at first m = 0 and v = tau^2.

    There is no bias correction.

    Source: Reddi et al., Adaptive Federated Optimization, ICLR 2021, Algorithm 2, arXiv:2003.00295.
    """

    server_learning_rate: float
    beta1: float
    tau: float

    @abstractmethod
    def second_moment(self, v: Array, squared: Array) -> None:
        """Update v in place; `squared`, d^2, may be overwritten."""

    @override
    def stepper(self, size: int, dtype: np.dtype[Any]) -> Stepper:
        return Moments(self, size, dtype)


class Moments(Stepper):
    """m and v."""

    def __init__(self, options: Adaptive, size: int, dtype: np.dtype[Any]) -> None:
        self._second_moment = options.second_moment
        self._eta, self._b1, self._tau = (dtype.type(x) for x in (options.server_learning_rate, options.beta1, options.tau))
        self._rest = dtype.type(1 - options.beta1)
        self._m = np.zeros(size, dtype)
        self._v = np.full(size, options.tau**2, dtype)
        self._scratch = Scratch(min(size, BLOCK) * dtype.itemsize)

    @override
    def step(self, at: slice, delta: Array) -> None:
        with self._scratch.bench() as bench:
            self._step(self._m[at], self._v[at], delta, bench.array(delta.size, delta.dtype))

    @override
    def state(self) -> Weights:
        return {"m": self._m, "v": self._v}

    def _step(self, m: Array, v: Array, delta: Array, tmp: Array) -> None:
        np.multiply(delta, delta, out=tmp)
        self._second_moment(v, tmp)
        np.multiply(m, self._b1, out=m)
        np.multiply(delta, self._rest, out=delta)
        np.add(m, delta, out=m)
        np.sqrt(v, out=tmp)
        np.add(tmp, self._tau, out=tmp)
        np.divide(m, tmp, out=delta)
        np.multiply(delta, self._eta, out=delta)


def check_decay(rule: str, option: str, value: float) -> None:
    """Refuse a decay that is not in [0, 1)."""
    if not 0 <= value < 1:
        raise ConfigError(f"{rule} has {option}={value}; give a number from 0 to below 1")


def check_positive(rule: str, option: str, value: float) -> None:
    """Refuse a number that is not above 0."""
    if not value > 0:
        raise ConfigError(f"{rule} has {option}={value}; give a number above 0")
