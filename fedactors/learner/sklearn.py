"""A scikit-learn estimator and its data as a learner.

    def learner(context):
        train, test = my_data(context.index)
        return SklearnLearner(SGDClassifier(loss="log_loss"), train, test, classes=[0, 1])

The estimator has `partial_fit`, and weights whose mean over learners is a model again (see `estimators`). A batch is one call of
it. Version 0 shows nothing of anybody's data: linear models begin at zero, networks as their `random_state` says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import override

from fedactors.errors import LayoutMismatch, LearnerFailed
from fedactors.learner.base import Learner
from fedactors.learner.estimators import adapter_of
from fedactors.model import Array, Layout, Weights
from fedactors.task import EvaluateParams, TrainParams

Data: TypeAlias = "tuple[Any, Array]"
"""Features [rows, columns], as an array or a CSR matrix, and targets [rows]."""

Scores: TypeAlias = Callable[[Any, Any, Array], Mapping[str, Any]]


def scores(estimator: Any, x: Any, y: Array) -> Mapping[str, float]:
    """Of a classifier accuracy and, where it tells probabilities, loss (cross-entropy, nats); of a regressor mse, mae and r2."""
    from sklearn import metrics
    from sklearn.base import is_classifier

    if not is_classifier(estimator):
        said = estimator.predict(x)
        errors = {"mse": metrics.mean_squared_error(y, said), "mae": metrics.mean_absolute_error(y, said)}
        return errors | ({"r2": metrics.r2_score(y, said)} if len(said) > 1 else {})
    found = {"accuracy": float(np.mean(estimator.predict(x) == y))}
    if hasattr(estimator, "predict_proba"):
        found["loss"] = metrics.log_loss(y, estimator.predict_proba(x), labels=estimator.classes_)
    return found


class SklearnLearner(Learner):
    """An estimator and its data.

    Args:
        estimator: with `partial_fit`, not trained yet; it is trained in place of its copies.
        train: features and targets.
        test: likewise; None: nothing to evaluate on.
        classes: of a classifier: all that any learner has.
        metrics: of the estimator on test data.
        batch_size: where the task has none.
    """

    def __init__(
        self,
        estimator: Any,
        train: Data,
        test: Data | None = None,
        *,
        classes: Sequence[Any] | None = None,
        metrics: Scores = scores,
        batch_size: int = 32,
    ) -> None:
        self._adapter = adapter_of(estimator, train[0], classes)
        self._train, self._test = train, test
        self.metrics, self.batch_size = metrics, batch_size
        self.num_train_examples, self.num_test_examples = len(train[1]), 0 if test is None else len(test[1])

    @property
    def estimator(self) -> Any:
        """The estimator, with the weights that it was given or has learnt last."""
        return self._adapter.estimator

    @override
    def get_weights(self) -> Weights:
        return self._adapter.weights()

    @override
    def set_weights(self, weights: Weights) -> None:
        difference = Layout.of(weights).difference(self._adapter.weights())
        if difference is not None:
            raise LayoutMismatch(f"the estimator does not fit the global model: {difference}")
        self._adapter.put(weights)

    @override
    def train(self, weights: Weights, params: TrainParams) -> tuple[Weights, Mapping[str, Any]]:
        if params.proximal_mu or params.correction:
            asked = "proximal_mu" if params.proximal_mu else "the rule scaffold"
            raise LearnerFailed(f"{asked} changes gradients, which scikit-learn keeps to itself; TorchLearner obeys it")
        examples, size = self.num_train_examples, params.batch_size or self.batch_size
        if not examples:
            raise LearnerFailed("there is no training data")
        per_epoch = -(-examples // size)
        steps = params.steps or max(1, round(params.epochs * per_epoch))
        rate = {} if params.learning_rate is None else self._adapter.learning_rate(params.learning_rate)
        settings = {"random_state": params.seed % 2**32, **rate}
        began = time.perf_counter()
        self._adapter.begin(weights, settings, round((params.round - 1) * examples * steps / per_epoch))
        learnt = [self._learn(batch) for batch in islice(batches(examples, size, params.seed), steps)]
        losses = [loss for loss in learnt if loss is not None]
        ms_per_batch = (time.perf_counter() - began) * 1000.0 / steps
        return self.get_weights(), {
            **({"loss": np.mean(losses)} if losses else {}),
            "num_examples": min(steps * size, examples),
            "num_batches": steps,
            "epochs": steps / per_epoch,
            "ms_per_batch": ms_per_batch,
            "ms_per_epoch": ms_per_batch * per_epoch,
        }

    @override
    def evaluate(self, weights: Weights, params: EvaluateParams) -> Mapping[str, Any]:
        self.set_weights(weights)
        if self._test is None or not self.num_test_examples:
            return {"num_examples": 0}
        with np.errstate(divide="ignore"):  # a class that nobody has seen has the logarithm of no probability
            return self.metrics(self.estimator, *self._test)

    def _learn(self, batch: Array) -> float | None:
        x, y = self._train
        return self._adapter.learn(x[batch], y[batch])


def batches(examples: int, size: int, seed: int) -> Iterator[Array]:
    """Rows in batches without end, int64[<= size]: each pass takes every row once, in an order that the seed gives."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(examples)
        for start in range(0, examples, size):
            yield order[start : start + size]
