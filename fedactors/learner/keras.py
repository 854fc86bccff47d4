"""A Keras 3 model and its data as a learner, whatever the backend that KERAS_BACKEND names: torch, jax or tensorflow.

    def learner(context):
        keras.utils.set_random_seed(context.seed)
        train, test = my_data(context.index)
        return KerasLearner(my_model, train, test)

The model's weights are federated under their paths, such as `sequential/dense/kernel`, each in its own dtype: batch norm's moving
statistics too, but neither metrics nor the states of seed generators, which follow from each task's seed. The optimiser begins
each training task as it was when the model was made, as its moments belong to weights that the federation has since replaced.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import override

from fedactors.errors import ConfigError, ExtraMissing, LayoutMismatch, LearnerFailed
from fedactors.learner.base import Learner
from fedactors.model import Array, Layout, Weights
from fedactors.task import EvaluateParams, TrainParams


def _absent(package: str | None) -> ConfigError:
    """What to say where Keras cannot be imported for want of this package."""
    if package == "keras":
        return ExtraMissing("fedactors.learner.keras", "keras", "keras")
    return ConfigError(
        f"Keras needs the package {package!r}, which is not installed: set the environment's KERAS_BACKEND to torch, jax or "
        "tensorflow, whichever is"
    )


try:
    import keras
    from keras.src.utils.naming import reset_uids  # clear_session does so, too, and disturbs what other threads compute
except ModuleNotFoundError as error:
    raise _absent(error.name) from error

Data: TypeAlias = "tuple[Any, ...]"
"""Inputs, targets and, if examples weigh unlike, their weights; each is an array [examples, ...], or lists or dicts of such."""

_RANDOM = threading.Lock()
"""What Keras does not draw from a layer's seed generator comes from the generators of its backend, as dropout with PyTorch, of
Python or of numpy: they belong to one learner of this process at a time, or no run repeats."""


class KerasLearner(Learner):
    """A compiled model and its data.

    Args:
        make_model: makes the model and compiles it, with an optimiser, a loss and metrics. Called once, with Keras' counters of
            automatic names at nought: the same layers have the same names in every learner, whatever else its process has made.
        train: shuffled anew with each task's seed; an incomplete last batch is left out.
        test: likewise, in order; None: nothing to evaluate on.
        batch_size: where the task has none.

    Raises:
        LearnerFailed: it is not compiled, or two of its variables have the same path.
    """

    def __init__(
        self, make_model: Callable[[], keras.Model], train: Data, test: Data | None = None, *, batch_size: int = 32
    ) -> None:
        self._train, self._test, self.batch_size = train, test, batch_size
        self.num_train_examples, self.num_test_examples = _examples(train), _examples(test)
        self.model = _made(make_model, train)
        self._variables = {variable.path: variable for variable in self.model.weights}
        federated = {id(variable) for variable in self.model.weights}
        self._seeds = [variable for variable in self.model.variables if id(variable) not in federated]
        self._optimiser_states = [(variable, _array(variable).copy()) for variable in self.model.optimizer.variables]

    @override
    def get_weights(self) -> Weights:
        return {path: _array(variable) for path, variable in self._variables.items()}

    @override
    def set_weights(self, weights: Weights) -> None:
        difference = Layout.of(weights).difference(self.get_weights())
        if difference is not None:
            raise LayoutMismatch(f"the Keras model does not fit the global model: {difference}")
        for path, variable in self._variables.items():
            variable.assign(np.array(weights[path]))  # a copy: a backend may keep, or refuse, an array that is read-only

    @override
    def train(self, weights: Weights, params: TrainParams) -> tuple[Weights, Mapping[str, Any]]:
        if params.proximal_mu or params.correction:
            asked = "proximal_mu" if params.proximal_mu else "the rule scaffold"
            raise LearnerFailed(f"{asked} changes gradients, which Keras keeps to itself; TorchLearner obeys it")
        if not self.num_train_examples:
            raise LearnerFailed("there is no training data")
        size = min(params.batch_size or self.batch_size, self.num_train_examples)
        per_epoch = self.num_train_examples // size
        steps = params.steps or max(1, round(params.epochs * per_epoch))
        self.set_weights(weights)
        self._reset_optimiser(params.learning_rate)
        batches = (_taken(self._train, rows) for rows in _rows(self.num_train_examples, size, params.seed))
        began = time.perf_counter()
        with _randomness_to_itself():
            history = self.model.fit(
                batches, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[self._sown(params.seed)]
            ).history
        ms_per_batch = (time.perf_counter() - began) * 1000.0 / steps
        return self.get_weights(), {
            **{name: float(values[-1]) for name, values in history.items()},
            "num_examples": min(steps, per_epoch) * size,
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
        with _randomness_to_itself():
            metrics = self.model.evaluate(
                *self._test, batch_size=self.batch_size, verbose=0, return_dict=True, callbacks=[self._sown(params.version)]
            )
        return {name: float(value) for name, value in metrics.items()} | {"num_examples": self.num_test_examples}

    def _reset_optimiser(self, learning_rate: float | None) -> None:
        for variable, state in self._optimiser_states:
            variable.assign(np.array(state))
        if learning_rate is None:
            return
        try:
            self.model.optimizer.learning_rate = learning_rate
        except TypeError:  # a schedule has no single rate to set
            raise LearnerFailed(
                "the optimiser has a schedule of learning rates, which a task's learning_rate cannot replace: "
                "leave it out of [train], or compile the model with a number"
            ) from None

    def _sown(self, seed: int) -> keras.callbacks.Callback:
        """Seeds all generators just before the first batch: what Keras draws earlier, it draws for a new model only."""

        def sow(_: Any = None) -> None:
            rng = np.random.default_rng(seed)
            for variable in self._seeds:
                variable.assign(rng.integers(2**31, size=variable.shape).astype(variable.dtype))
            keras.utils.set_random_seed(seed % 2**32)

        return keras.callbacks.LambdaCallback(on_train_begin=sow, on_test_begin=sow)


@contextmanager
def _randomness_to_itself() -> Iterator[None]:
    """Alone in this process; Python's and numpy's generators are left as they were."""
    with _RANDOM:
        python, numpy = random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _made(make_model: Callable[[], keras.Model], train: Data) -> keras.Model:
    """The model, compiled and built, its optimiser too."""
    if isinstance(make_model, keras.Model):
        raise LearnerFailed(
            "KerasLearner was given a model; give it the function that makes and compiles one, so that its layers "
            "have the same names in every learner"
        )
    reset_uids()
    model = make_model()
    if not getattr(model, "compiled", False):
        raise LearnerFailed("the Keras model is not compiled: call model.compile(optimizer, loss, metrics) where it is made")
    if not model.built:
        model(_taken(train, np.arange(1))[0])
    model.optimizer.build(model.trainable_variables)
    _check_paths([variable.path for variable in model.weights])
    return model


def _check_paths(paths: Sequence[str]) -> None:
    path, count = max(Counter(paths).items(), key=lambda item: item[1], default=("", 0))
    if count > 1:
        raise LearnerFailed(f"{count} of the Keras model's variables are called {path!r}: give their layers names of their own")


def _rows(examples: int, size: int, seed: int) -> Iterator[Array]:
    """Rows in batches without end, int64[size]: each pass takes them in an order that the seed gives, and leaves the rest."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(examples)
        yield from (order[start : start + size] for start in range(0, examples - size + 1, size))


def _taken(data: Data, rows: Array) -> Data:
    """These rows of each array."""
    taken: Data = keras.tree.map_structure(lambda array: array[rows], data)
    return taken


def _array(variable: Any) -> Array:
    """The variable's values, in its dtype; a view of them where the backend gives one."""
    return np.asarray(keras.ops.convert_to_numpy(variable.value))


def _examples(data: Data | None) -> int:
    if data is None:
        return 0
    if not isinstance(data, tuple):
        raise LearnerFailed(f"KerasLearner takes a tuple of arrays, inputs and targets, and was given a {type(data).__name__}")
    return len(keras.tree.flatten(data)[0])
