"""Adagrad on the server."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from fedactors.aggregation.adaptive import Adaptive, check_decay, check_positive
from fedactors.model import Array


@dataclass(frozen=True, slots=True)
class FedAdagrad(Adaptive):
    """Adagrad on the server, with the cohort's combined update as its gradient.

    With combined update d:  m <- b1 m + (1-b1) d;  v <- v + d^2;  x <- x + eta m / (sqrt(v) + tau).
    At first m = 0 and v = tau^2; there is no bias correction.

    Attributes:
        server_learning_rate: eta > 0, dimensionless.
        beta1: b1 in [0, 1), decay of m.
        tau: > 0; the larger, the less adaptive.

    Source: Reddi et al., Adaptive Federated Optimization, ICLR 2021, Algorithm 2, arXiv:2003.00295.
    """

    server_learning_rate: float = 0.01
    beta1: float = 0.0
    tau: float = 1e-3

    def __post_init__(self) -> None:
        check_positive("fedadagrad", "server_learning_rate", self.server_learning_rate)
        check_decay("fedadagrad", "beta1", self.beta1)
        check_positive("fedadagrad", "tau", self.tau)

    @override
    def second_moment(self, v: Array, squared: Array) -> None:
        np.add(v, squared, out=v)
