"""A learner as its federation sees it: only what travels goes in and comes out, and control variates go with it. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from fedactors.dp.local import EPSILON, Protection
from fedactors.learner.answers import Trained, answer_evaluate, answer_initialise, answer_train, take_weights
from fedactors.learner.baggage import Baggage
from fedactors.learner.base import Learner
from fedactors.learner.control import ControlVariates, local_steps
from fedactors.model import GlobalModel, Layout, Weights
from fedactors.scope import WHOLE, Scope
from fedactors.task import EvaluateParams, EvaluationReport, TaskId, TrainParams
from fedactors.variates import PREFIX, parted


class Trainee:
    """One learner within one scope. Its methods raise as those of `answers`, and LayoutMismatch where tensors are missing.

    The learner is always given the whole of its tensors: those of the global model, and its own as its last training left them,
    whether or not that training's update counted.

    Attributes:
        protection: what is done to an update before it leaves, control variates excepted; None: nothing.
        unmatched: (key, pattern) pairs of the scope's patterns that match no tensor of the learner; known once it was at work.
    """

    def __init__(self, learner: Learner, scope: Scope = WHOLE) -> None:
        self._learner = learner
        self._scope = scope
        self._baggage: Baggage | None = None
        self._control = ControlVariates() if scope.variates else None
        self._has_weights = False
        self.protection: Protection | None = None
        self.unmatched: tuple[tuple[str, str], ...] = ()

    def initialise(self) -> Weights:
        """The weights to start from: those that travel.

        Raises:
            ModelError: none does.
        """
        weights = answer_initialise(self._learner)
        if not self._scope.is_whole:
            self._pack_up(weights)
        return self._scope.travelling(weights)

    def train(
        self, task: TaskId, model: GlobalModel, params: TrainParams, *, clock: Callable[[], float] = time.perf_counter
    ) -> Trained:
        """Train from a version; the new weights fit its layout, and may be views of the learner's live model.

        Raises:
            LearnerFailed: beside the above, local steps of unknown number or length where control variates follow from them.
            PrivacyBudgetSpent: the learner does not want to tell more of its data.
        """
        if self._control is None:
            return self._train_protected(model, params, clock)
        x, c = parted(model.weights)
        given = replace(params, correction=self._control.correction(model.version, c))
        trained = self._train(x, Layout.of(x), given, clock)
        steps, step_length = local_steps(params, trained.report)
        growth = self._control.difference(task, model.version, c, x, trained.weights, steps, step_length)
        return replace(trained, weights={**trained.weights, **{PREFIX + name: array for name, array in growth.items()}})

    def settle(self, task: TaskId, accepted: bool) -> None:
        """Whether the update that answered this task counts."""
        if self._control is not None:
            self._control.settle(task, accepted)

    def evaluate(self, model: GlobalModel, params: EvaluateParams) -> EvaluationReport:
        """Evaluate a version."""
        received = model.weights if self._control is None else parted(model.weights)[0]
        return answer_evaluate(self._learner, self._take(received), params)

    def _train_protected(self, model: GlobalModel, params: TrainParams, clock: Callable[[], float]) -> Trained:
        """Train, and clip and add noise where the federation or the learner's own limit asks for it."""
        protection = self.protection
        if protection is None:
            return self._train(model.weights, model.layout, params, clock)
        protection.admit(params.round)
        trained = self._train(model.weights, model.layout, params, clock)
        weights = protection.protect(trained.weights, model.weights)
        metrics = {**trained.report.metrics, EPSILON: protection.epsilon}
        return replace(trained, weights=weights, report=replace(trained.report, metrics=metrics))

    def _train(self, received: Weights, layout: Layout, params: TrainParams, clock: Callable[[], float]) -> Trained:
        """Train from tensors that were received, which are of this layout."""
        weights = self._take(received)
        if self._baggage is None:
            return answer_train(self._learner, layout, weights, params, clock=clock)
        trained = answer_train(self._learner, Layout.of(weights), weights, params, clock=clock)
        self._baggage.keep(trained.weights)
        travelling = {name: trained.weights[name] for name in received}
        return replace(trained, weights=travelling, cast=tuple(name for name in trained.cast if name in travelling))

    def _take(self, received: Weights) -> Weights:
        """All tensors of the learner; the first time they become its weights."""
        if self._baggage is None and not self._scope.is_whole:
            self._pack_up(answer_initialise(self._learner))
        weights = received if self._baggage is None else self._baggage.whole(received)
        if not self._has_weights:
            take_weights(self._learner, weights)
            self._has_weights = True
        return weights

    def _pack_up(self, weights: Weights) -> None:
        self._baggage = Baggage(self._scope, weights)
        keys = ("local", "shared")
        self.unmatched = tuple((f"model.{key}", pattern) for key in keys for pattern in self._scope.unmatched(key, weights))
