"""A learner that opens what it is given and seals what it gives, so that the controller keeps and adds up what it cannot read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from typing_extensions import override

from fedactors.aggregation.weighting import Weighting
from fedactors.errors import ConfigError
from fedactors.learner.answers import Trained, declared
from fedactors.learner.base import Learner
from fedactors.learner.trainee import Trainee
from fedactors.model import GlobalModel, Weights
from fedactors.privacy.sealing import Key, Sealing, SealingSpec
from fedactors.scope import Scope
from fedactors.task import EvaluateParams, EvaluationReport, TaskId, TrainParams


class SealedTrainee(Trainee):
    """One learner within one scope and one sealing: versions come in and weights go out as ciphertext.

    What is not to travel is left out before anything is sealed. A version is opened once, for training and evaluation.
    """

    def __init__(self, learner: Learner, scope: Scope, sealing: Sealing, weighting: Weighting) -> None:
        super().__init__(learner, scope)
        self._num_examples = declared(learner).num_train_examples
        self._sealing = sealing
        self._weighting = weighting
        self._sealed: GlobalModel | None = None
        self._opened: GlobalModel | None = None

    @override
    def initialise(self) -> Weights:
        return self._sealing.initial(super().initialise(), self._num_examples)

    @override
    def train(
        self, task: TaskId, model: GlobalModel, params: TrainParams, *, clock: Callable[[], float] = time.perf_counter
    ) -> Trained:
        trained = super().train(task, self._open(model), params, clock=clock)
        factor = self._weighting.factor(trained.report)
        return replace(trained, weights=self._sealing.update(trained.weights, factor, model))

    @override
    def evaluate(self, model: GlobalModel, params: EvaluateParams) -> EvaluationReport:
        return super().evaluate(self._open(model), params)

    def _open(self, model: GlobalModel) -> GlobalModel:
        if self._opened is None or self._sealed is not model:
            self._opened = self._sealing.opened(model)
            self._sealed = model
        return self._opened


def trainee(learner: Learner, scope: Scope, spec: SealingSpec, key: Key | None) -> Trainee:
    """A learner as a federation of this sealing sees it.

    Raises:
        ConfigError: its key is none for this sealing, or one of the two is not there; nothing goes out in the clear then.
    """
    if key is None and spec.method:
        raise ConfigError(f"the federation seals its models by {spec.method!r}: give this learner the federation's key")
    if key is None:
        return Trainee(learner, scope)
    if not spec.method:
        said = "this learner was given a key, and the federation does not seal: its weights would go out in the clear"
        raise ConfigError(f"{said}; write method in the controller's table [secure], or leave the key out")
    return SealedTrainee(learner, scope, key.sealing(spec), Weighting(spec.weighting))
