"""Learners that do as they are told: for tests of whatever stands around a learner.

ScriptedLearner(train=adds(1.0))                    every weight grows by one
ScriptedLearner(train=fails_at(3, adds(1.0)))       raises in its third training
ScriptedLearner(train=takes_s(0.2, echoes))         sends back what it was given, after 0.2 seconds
ScriptedLearner(train=wrong_shape), (train=not_finite), (train=not_a_tuple)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import override

from fedactors.learner import EvaluateParams, Learner, TrainParams
from fedactors.model import Array, Weights

Training: TypeAlias = Callable[[Weights, int], Any]
"""What to return from a training: of the weights that were given and the number of the call, from 1."""


def adds(delta: float) -> Training:
    """Every weight grows by `delta`."""

    def training(weights: Weights, _: int) -> Any:
        return {name: (array + delta).astype(array.dtype) for name, array in weights.items()}, {"loss": 1.0}

    return training


def fails_at(call: int, otherwise: Training) -> Training:
    """Raise in the `call`-th training, from 1."""

    def training(weights: Weights, number: int) -> Any:
        if number == call:
            raise RuntimeError(f"told to fail at training {call}")
        return otherwise(weights, number)

    return training


def takes_s(seconds: float, training: Training) -> Training:
    """Sleep first, as slow learners seem to."""

    def slow(weights: Weights, number: int) -> Any:
        time.sleep(seconds)
        return training(weights, number)

    return slow


def echoes(weights: Weights, _: int) -> Any:
    """Send back what was given."""
    return weights, {"loss": 0.0}


def wrong_shape(weights: Weights, _: int) -> Any:
    """The first tensor has one element too many."""
    first, *rest = weights
    return {first: np.zeros(weights[first].size + 1, weights[first].dtype)} | {name: weights[name] for name in rest}, {}


def not_finite(weights: Weights, _: int) -> Any:
    """Every floating-point weight is NaN."""
    return {name: np.full_like(array, np.nan) if array.dtype.kind == "f" else array for name, array in weights.items()}, {}


def not_a_tuple(weights: Weights, _: int) -> Any:
    """The metrics were forgotten."""
    return weights


class ScriptedLearner(Learner):
    """Holds some weights, trains as it is told and evaluates to the mean of all weights.

    Attributes:
        trained: the parameters of every training so far.
        evaluated: the parameters of every evaluation so far.
        was_set: the weights that `set_weights` was given, each time.
    """

    def __init__(
        self,
        weights: Mapping[str, Array] | None = None,
        *,
        train: Training = echoes,
        num_train_examples: int = 10,
        num_test_examples: int = 5,
        tags: tuple[str, ...] = (),
    ) -> None:
        self.weights: Weights = {"w": np.zeros(4, np.float32)} if weights is None else weights
        self.num_train_examples, self.num_test_examples, self.tags = num_train_examples, num_test_examples, tags
        self.trained: list[TrainParams] = []
        self.evaluated: list[EvaluateParams] = []
        self.was_set: list[Weights] = []
        self._training = train

    @override
    def get_weights(self) -> Weights:
        return self.weights

    @override
    def set_weights(self, weights: Weights) -> None:
        self.was_set.append(weights)

    @override
    def train(self, weights: Weights, params: TrainParams) -> Any:
        self.trained.append(params)
        return self._training(weights, len(self.trained))

    @override
    def evaluate(self, weights: Weights, params: EvaluateParams) -> Mapping[str, Any]:
        self.evaluated.append(params)
        return {"mean": float(np.mean([np.mean(array.astype(np.float64)) for array in weights.values()]))}
