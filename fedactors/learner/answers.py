"""A learner's methods called, and what they return checked: from a task's parameters to an answer that can travel. Pure.

Whatever user code does wrong, it comes out as one FedactorsError of one line: LearnerFailed where it raised or returned
something that is no result, LayoutMismatch where the weights do not fit the model it was given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from fedactors.errors import FedactorsError, LayoutMismatch, LearnerFailed
from fedactors.learner.base import AnyWeights, Learner
from fedactors.learner.blame import blamed, kind_of
from fedactors.model import DTYPES, Array, Layout, Weights, is_floating
from fedactors.task import EvaluateParams, EvaluationReport, TrainParams, TrainReport, numbers

Report = TypeVar("Report", TrainReport, EvaluationReport)

_FLOATING = frozenset(dtype for name, dtype in DTYPES.items() if is_floating(name))


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The answer to a training task.

    Attributes:
        weights: they fit the layout that was given; perhaps views of the learner's live model.
        report: counts, timings and metrics.
        cast: names of the tensors that came in another floating-point dtype and were cast.
    """

    weights: Weights
    report: TrainReport
    cast: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """What a learner says of itself when it joins."""

    num_train_examples: int
    num_test_examples: int
    tags: tuple[str, ...]


def declared(learner: Learner) -> Declared:
    """What the learner declares; a learner that declares nothing has unknown sizes and no tags.

    Raises:
        LearnerFailed: a size is not a whole number >= 0, or the tags are not a list of strings.
    """
    tags = _called("tags", getattr, learner, "tags", ())
    if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
        raise LearnerFailed(f"the learner's tags are {tags!r:.80}; tags are a list of strings")
    return Declared(_size(learner, "num_train_examples"), _size(learner, "num_test_examples"), tuple(tags))


def answer_initialise(learner: Learner) -> Weights:
    """The weights that the learner starts from, by name.

    Raises:
        LearnerFailed: `get_weights` raised or did not return weights.
    """
    return _by_name("get_weights", _called("get_weights", learner.get_weights))


def take_weights(learner: Learner, weights: Weights) -> None:
    """Make these the learner's weights.

    Raises:
        LearnerFailed: `set_weights` raised.
    """
    _called("set_weights", learner.set_weights, given(weights))


def answer_train(
    learner: Learner, layout: Layout, weights: Weights, params: TrainParams, *, clock: Callable[[], float] = time.perf_counter
) -> Trained:
    """Have the learner train from `weights`, which are of this layout.

    Raises:
        LearnerFailed: `train` raised, or did not return weights and metrics.
        LayoutMismatch: the weights it returned have other names, shapes or dtypes; another float dtype is cast instead.
    """
    began = clock()
    result = _called("train", learner.train, given(weights), params)
    elapsed_ms = (clock() - began) * 1000.0
    if not isinstance(result, tuple) or len(result) != 2:
        raise LearnerFailed(f"train() returned {kind_of(result)}; it returns a tuple of the new weights and the metrics")
    fitted, cast = _fitted("train", layout, result[0])
    return Trained(fitted, _train_report(learner, _metrics("train", result[1]), params, elapsed_ms), cast)


def answer_evaluate(learner: Learner, weights: Weights, params: EvaluateParams) -> EvaluationReport:
    """Have the learner evaluate `weights`.

    Raises:
        LearnerFailed: `evaluate` raised, or did not return metrics.
    """
    metrics = _metrics("evaluate", _called("evaluate", learner.evaluate, given(weights), params))
    num_examples = _whole("evaluate()", "num_examples", metrics.pop("num_examples", _size(learner, "num_test_examples")))
    return _sound("evaluate", EvaluationReport(num_examples, metrics))


def given(weights: Weights) -> AnyWeights:
    """Weights as the learner knows them: in order, if their names were made from their order."""
    ordered = "0000" in weights and list(weights) == _ordinals(len(weights))
    return list(weights.values()) if ordered else weights


def _ordinals(count: int) -> list[str]:
    """Names for weights that have none: "0000", "0001", ..."""
    return [f"{index:04d}" for index in range(count)]


def _fitted(method: str, layout: Layout, result: Any) -> tuple[Weights, tuple[str, ...]]:
    names = [tensor.name for tensor in layout.tensors]
    if isinstance(result, (list, tuple)) and len(result) != len(names):
        raise LayoutMismatch(f"{method}() returned {len(result)} tensors instead of the global model's {len(names)}")
    weights = _by_name(method, result, names)
    cast = _cast(weights, layout)
    difference = layout.difference(weights)
    if difference is not None:
        raise LayoutMismatch(f"{method}() returned weights that do not fit: {difference}")
    return weights, cast


def _cast(weights: dict[str, Array], layout: Layout) -> tuple[str, ...]:
    """Cast to the layout's what has another floating-point dtype, and say which; an overflow becomes an infinity."""
    cast = []
    with np.errstate(over="ignore"):
        for tensor in layout.tensors:
            array, dtype = weights.get(tensor.name), DTYPES[tensor.dtype]
            if array is not None and array.dtype != dtype and {array.dtype, dtype} <= _FLOATING:
                weights[tensor.name] = array.astype(dtype)
                cast.append(tensor.name)
    return tuple(cast)


def _by_name(method: str, result: Any, names: Sequence[str] | None = None) -> dict[str, Array]:
    if isinstance(result, Mapping):
        weights = dict(result)
    elif isinstance(result, (list, tuple)):
        weights = dict(zip(names or _ordinals(len(result)), result, strict=True))
    else:
        raise LearnerFailed(f"{method}() returned {kind_of(result)}, not weights: numpy arrays by name, or a list of them")
    for name, array in weights.items():
        if not isinstance(array, (np.ndarray, np.generic)):
            raise LearnerFailed(f"{method}() returned {kind_of(array)} as tensor {name!r}; tensors are numpy arrays")
    return {name: np.asarray(array) for name, array in weights.items()}


def _metrics(method: str, result: Any) -> dict[str, float]:
    if not isinstance(result, Mapping):
        raise LearnerFailed(f"{method}() returned {kind_of(result)} as metrics; metrics are numbers by name")
    return numbers(f"{method}()", result)


def _train_report(learner: Learner, metrics: dict[str, float], params: TrainParams, elapsed_ms: float) -> TrainReport:
    num_examples = _whole("train()", "num_examples", metrics.pop("num_examples", _size(learner, "num_train_examples")))
    num_batches = _whole("train()", "num_batches", metrics.pop("num_batches", params.steps or 0))
    epochs = metrics.pop("epochs", params.epochs if params.steps is None else 0.0)
    ms_per_batch = metrics.pop("ms_per_batch", elapsed_ms / num_batches if num_batches else 0.0)
    ms_per_epoch = metrics.pop("ms_per_epoch", elapsed_ms / epochs if epochs > 0 else 0.0)
    return _sound("train", TrainReport(num_examples, num_batches, epochs, ms_per_batch, ms_per_epoch, metrics))


def _sound(method: str, report: Report) -> Report:
    problem = report.problem()
    if problem is not None:
        raise LearnerFailed(f"{method}() gave a report that cannot be used: {problem}")
    return report


def _size(learner: Learner, name: str) -> int:
    return _whole("the learner", name, _called(name, getattr, learner, name, 0))


def _whole(owner: str, name: str, value: Any) -> int:
    try:
        if (whole := int(value)) == value and whole >= 0:
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    raise LearnerFailed(f"{owner} gave {name} = {value!r:.80}; it is a whole number >= 0")


def _called(name: str, call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except FedactorsError:  # it says in one line what is wrong
        raise
    except (Exception, SystemExit) as error:
        raise LearnerFailed(f"{name} failed: {blamed(error)}") from error
