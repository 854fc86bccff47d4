"""A learner as its federation sees it: only what travels goes in and comes out. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from fedactors.learner.answers import Trained, answer_evaluate, answer_initialise, answer_train, take_weights
from fedactors.learner.baggage import Baggage
from fedactors.learner.base import Learner
from fedactors.model import GlobalModel, Layout, Weights
from fedactors.scope import WHOLE, Scope
from fedactors.task import EvaluateParams, EvaluationReport, TrainParams


class Trainee:
    """One learner within one scope. Its methods raise as those of `answers`, and LayoutMismatch where tensors are missing.

    The learner is always given the whole of its tensors: those of the global model, and its own as its last training left them,
    whether or not that training's update counted.

    Attributes:
        unmatched: (key, pattern) pairs of the scope's patterns that match no tensor of the learner; known once it was at work.
    """

    def __init__(self, learner: Learner, scope: Scope = WHOLE) -> None:
        self._learner = learner
        self._scope = scope
        self._baggage: Baggage | None = None
        self._has_weights = False
        self.unmatched: tuple[tuple[str, str], ...] = ()

    def initialise(self) -> Weights:
        """The weights to start from: those that travel.

        Raises:
            ModelError: none does.
        """
        weights = answer_initialise(self._learner)
        if self._scope.is_whole:
            return weights
        self._pack_up(weights)
        return self._scope.travelling(weights)

    def train(self, model: GlobalModel, params: TrainParams, *, clock: Callable[[], float] = time.perf_counter) -> Trained:
        """Train from a version; the new weights fit its layout, and may be views of the learner's live model."""
        weights = self._take(model)
        if self._baggage is None:
            return answer_train(self._learner, model.layout, weights, params, clock=clock)
        trained = answer_train(self._learner, Layout.of(weights), weights, params, clock=clock)
        self._baggage.keep(trained.weights)
        travelling = {tensor.name: trained.weights[tensor.name] for tensor in model.layout.tensors}
        return replace(trained, weights=travelling, cast=tuple(name for name in trained.cast if name in travelling))

    def evaluate(self, model: GlobalModel, params: EvaluateParams) -> EvaluationReport:
        """Evaluate a version."""
        return answer_evaluate(self._learner, self._take(model), params)

    def _take(self, model: GlobalModel) -> Weights:
        """The version as the learner knows it; the first one becomes the learner's weights."""
        if self._baggage is None and not self._scope.is_whole:
            self._pack_up(answer_initialise(self._learner))
        weights = model.weights if self._baggage is None else self._baggage.whole(model.weights)
        if not self._has_weights:
            take_weights(self._learner, weights)
            self._has_weights = True
        return weights

    def _pack_up(self, weights: Weights) -> None:
        self._baggage = Baggage(self._scope, weights)
        keys = ("local", "shared")
        self.unmatched = tuple((f"model.{key}", pattern) for key in keys for pattern in self._scope.unmatched(key, weights))
