"""What of a scikit-learn estimator is its model: which arrays travel, and what is begun anew with each training.

Steps       linear models and perceptrons that move their weights by gradients: SGDClassifier, SGDRegressor, Perceptron,
            MLPClassifier, MLPRegressor and their kin. Their weighted mean is FedAvg.
Moments     GaussianNB: shares and moments of each class. Their mean, weighted by examples, is exactly what one GaussianNB would
            have learnt from all the data together, in one round.

Others are refused: the mean of two forests, of two sets of unmatched cluster centres, or of counts of unknown totals is no model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from fedactors.errors import ExtraMissing, LearnerFailed
from fedactors.model import Array, Weights

try:
    from sklearn.base import is_classifier
except ModuleNotFoundError as error:
    raise ExtraMissing("fedactors.learner.sklearn", "scikit-learn", "sklearn") from error
from sklearn.naive_bayes import GaussianNB


class Adapter(ABC):
    """One estimator that learns batch by batch.

    Attributes:
        estimator: it predicts with the weights that were put or learnt last.
    """

    estimator: Any

    @abstractmethod
    def weights(self) -> Weights:
        """What travels, by name; views of the estimator's own arrays."""

    @abstractmethod
    def put(self, weights: Mapping[str, Array]) -> None:
        """Predict with these weights; they are copied."""

    @abstractmethod
    def begin(self, weights: Mapping[str, Array], settings: Mapping[str, Any], examples_before: int) -> None:
        """Train from these weights, as if on `examples_before` examples already; settings are the estimator's parameters."""

    @abstractmethod
    def learn(self, x: Any, y: Array) -> float | None:
        """Learn from one batch; the loss on it, where the estimator tells."""

    @abstractmethod
    def learning_rate(self, rate: float) -> Mapping[str, Any]:
        """The settings that make this the length of steps; none where there are no steps."""


class Steps(Adapter):
    """An estimator whose `partial_fit` moves weights by gradients.

    A training begins with the estimator as it was made: the state of its optimiser belongs to weights that the federation has
    since replaced. A rate that decays goes on from round to round.
    """

    def __init__(self, estimator: Any, features: Any, classes: Sequence[Any] | None) -> None:
        self.estimator = estimator
        self._is_network = hasattr(estimator, "hidden_layer_sizes")
        self._arrays = _begun(estimator, features, classes)
        self._blank = deepcopy(estimator)

    @override
    def weights(self) -> Weights:
        weights: dict[str, Array] = {}
        for name in self._arrays:
            value = getattr(self.estimator, name)
            weights |= (
                {f"{name}{index}": array for index, array in enumerate(value)} if isinstance(value, list) else {name: value}
            )
        return weights

    @override
    def put(self, weights: Mapping[str, Array]) -> None:
        for name in self._arrays:
            value = getattr(self.estimator, name)
            if isinstance(value, list):
                setattr(self.estimator, name, [np.array(weights[f"{name}{index}"]) for index in range(len(value))])
            else:
                setattr(self.estimator, name, np.array(weights[name]))

    @override
    def begin(self, weights: Mapping[str, Array], settings: Mapping[str, Any], examples_before: int) -> None:
        self.estimator = deepcopy(self._blank)
        self.estimator.set_params(**{name: value for name, value in settings.items() if name in self.estimator.get_params()})
        self.estimator.t_ = self._blank.t_ + examples_before
        self.put(weights)

    @override
    def learn(self, x: Any, y: Array) -> float | None:
        if self._is_network:
            self.estimator.batch_size = len(y)  # a batch is one step
        self.estimator.partial_fit(x, y)
        return getattr(self.estimator, "loss_", None)  # linear models have none in newer releases

    @override
    def learning_rate(self, rate: float) -> Mapping[str, Any]:
        return {"learning_rate": "constant", "eta0": rate, "learning_rate_init": rate}  # those that it knows are set


class Moments(Adapter):
    """A GaussianNB, of which shares and moments travel: of each class the share c, the sum s and the sum of squares q, all of
    them divided by the number of all examples. It learns them from its own data alone; what it was given is of no account.

    The mean is s/c and the variance q/c - (s/c)^2 + epsilon, where epsilon is `var_smoothing` times the greatest variance of a
    feature over all classes, as in scikit-learn. Where features are far from 0 for their spread, centre them: q/c - (s/c)^2 loses
    digits.
    """

    _NAMES: ClassVar[tuple[str, ...]] = ("share", "sum", "squares")

    def __init__(self, estimator: GaussianNB, features: Any, classes: Sequence[Any]) -> None:
        self.estimator = estimator
        estimator.partial_fit(np.zeros((len(classes), features.shape[1])), np.asarray(classes), classes)
        shares = np.full(len(classes), 1 / len(classes))
        spread = np.repeat(shares[:, None], features.shape[1], axis=1)
        self.put({"share": shares, "sum": np.zeros_like(spread), "squares": spread})  # every class alike: mean 0, variance 1

    @override
    def weights(self) -> Weights:
        return dict(self._moments)

    @override
    def put(self, weights: Mapping[str, Array]) -> None:
        self._moments = {name: np.array(weights[name]) for name in self._NAMES}
        share, sums, squares = self._moments.values()
        known = np.maximum(share, np.finfo(float).tiny)[:, None]
        model = self.estimator
        model.epsilon_ = model.var_smoothing * (squares.sum(axis=0) - sums.sum(axis=0) ** 2).max()
        model.theta_ = sums / known
        model.var_ = np.where(share[:, None] > 0, squares / known - model.theta_**2, 1.0) + model.epsilon_
        model.class_count_, model.class_prior_ = share, share if model.priors is None else np.asarray(model.priors)

    @override
    def begin(self, weights: Mapping[str, Array], settings: Mapping[str, Any], examples_before: int) -> None:
        self._seen = 0
        self._moments = {name: np.zeros_like(weights[name]) for name in self._NAMES}

    @override
    def learn(self, x: Any, y: Array) -> float | None:
        belongs = (np.asarray(y)[:, None] == self.estimator.classes_).astype(float)
        total = self._seen + len(belongs)
        for moment, batch in zip(self._moments.values(), (belongs.sum(axis=0), belongs.T @ x, belongs.T @ x**2), strict=True):
            moment *= self._seen / total
            moment += batch / total
        self._seen = total
        return None

    @override
    def learning_rate(self, rate: float) -> Mapping[str, Any]:
        return {}


def adapter_of(estimator: Any, features: Any, classes: Sequence[Any] | None) -> Adapter:
    """What learns by this estimator. It is made ready without a look at the data: only the features' number and dtype count.

    Raises:
        LearnerFailed: a mean of such estimators is no such estimator, or a classifier's classes are not given.
    """
    name = type(estimator).__name__
    if not hasattr(estimator, "partial_fit"):
        raise LearnerFailed(f"{name} has no partial_fit, so it cannot go on from weights that it is given")
    if is_classifier(estimator) and classes is None:
        raise LearnerFailed(f"{name} needs classes=[...]: all that there are, since one learner may have seen only some of them")
    if isinstance(estimator, GaussianNB):
        assert classes is not None
        return Moments(estimator, features, classes)
    return Steps(estimator, features, classes)


def _begun(estimator: Any, features: Any, classes: Sequence[Any] | None) -> tuple[str, ...]:
    """Give the estimator its arrays, as they are before the first example; which of its attributes they are."""
    rows = 1 if classes is None else len(classes)
    given = {} if classes is None else {"classes": classes}
    if hasattr(estimator, "hidden_layer_sizes"):
        estimator.batch_size = rows
    estimator.partial_fit(
        np.zeros((rows, features.shape[1]), features.dtype), np.zeros(1) if classes is None else classes, **given
    )
    if hasattr(estimator, "coefs_"):
        vars(estimator).pop("_optimizer", None)  # else moments of the zeros above, and of tasks before, would steer the steps
        estimator.t_ = 0
        return "coefs_", "intercepts_"
    if not hasattr(estimator, "coef_") or not hasattr(estimator, "t_") or getattr(estimator, "average", False):
        name = type(estimator).__name__ + (" with average" if getattr(estimator, "average", False) else "")
        known = "linear models trained by SGD, MLPClassifier, MLPRegressor and GaussianNB have"
        raise LearnerFailed(f"{name} has no weights whose mean over learners is a model; {known}")
    estimator.coef_, estimator.intercept_, estimator.t_ = np.zeros_like(estimator.coef_), np.zeros_like(estimator.intercept_), 1.0
    return "coef_", "intercept_"
