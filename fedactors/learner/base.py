"""What a learner is: four methods around a model and the data that never leaves it.

    class MyLearner(Learner):
        def __init__(self, context): ...                    once, in the learner's process
        def get_weights(self): ...                          version 0, if the draw falls on this learner
        def set_weights(self, weights): ...                 the first global model that arrives
        def train(self, weights, params): ...               -> (new weights, metrics)
        def evaluate(self, weights, params): ...            -> metrics

All four run in one thread of their own, one call at a time, so that heartbeats go on while they compute.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fedactors.errors import FedactorsError, LearnerFailed
from fedactors.learner.blame import blamed, kind_of
from fedactors.model import Array, LearnerId, Weights
from fedactors.task import EvaluateParams, TrainParams

AnyWeights: TypeAlias = Weights | Sequence[Array]
"""Tensors by name, or in order. Who gives them in order gets them in order."""

Entry: TypeAlias = "Callable[[LearnerContext], Any]"
"""What a configuration's `entry` names: a Learner subclass, or a function that returns a learner."""

METHODS = ("get_weights", "set_weights", "train", "evaluate")


@dataclass(frozen=True, slots=True)
class LearnerContext:
    """What a learner may know of itself when it is made.

    Attributes:
        id: its identity in the federation.
        index: its place among the learners that were started together, from 0.
        count: how many were started together.
        seed: the run's seed; the same for every learner.
        options: the keys of the configuration's [learners.options] table.
    """

    id: LearnerId = "learner-0"
    index: int = 0
    count: int = 1
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


class Learner(ABC):
    """The interface of learners. Any object with these four methods will do; inheriting is not required.

    Weights are tensors by name, as in a state_dict, or in a list; a learner that gives lists is given lists.
    Those that fedactors hands over are read-only views of one buffer: copy what you change. Those that are handed
    back are copied before another method is called, so they may be views of the live model.

    Attributes:
        num_train_examples: size of the local training data, declared when joining; 0: unknown.
        num_test_examples: size of the local test data, declared when joining; 0: unknown.
        tags: labels for selection, declared when joining.
    """

    num_train_examples: int = 0
    num_test_examples: int = 0
    tags: Sequence[str] = ()

    @abstractmethod
    def get_weights(self) -> AnyWeights:
        """The model's weights as they are now."""

    @abstractmethod
    def set_weights(self, weights: Any) -> None:
        """Make these the model's weights. fedactors calls it once, with the first global model that arrives."""

    @abstractmethod
    def train(self, weights: Any, params: TrainParams) -> tuple[AnyWeights, Mapping[str, Any]]:
        """Train from `weights` on the local data.

        Returns:
            The new weights, with the names, shapes and dtypes of the old, and metrics: numbers by name. Five names are
            taken out of the metrics and into the report: `num_examples` (trained on; default: `num_train_examples`),
            `num_batches`, `epochs`, `ms_per_batch` and `ms_per_epoch` (default: measured around this call).
        """

    @abstractmethod
    def evaluate(self, weights: Any, params: EvaluateParams) -> Mapping[str, Any]:
        """Evaluate `weights` on the local test data.

        Returns:
            Metrics: numbers by name. `num_examples` (default: `num_test_examples`) is their share when they are averaged.
        """


def build_learner(entry: Any, context: LearnerContext) -> Learner:
    """The learner that an entry makes of a context; an entry that is a learner already is returned as it is.

    Raises:
        LearnerFailed: the entry raised, cannot be called with a context, or did not return a learner; one line.
    """
    if not inspect.isclass(entry) and not missing_methods(entry):
        return entry  # type: ignore[no-any-return]  # duck-typed: it has the four methods
    name = getattr(entry, "__qualname__", repr(entry))
    if inspect.isabstract(entry):
        raise LearnerFailed(f"{name} lacks {_listed(sorted(entry.__abstractmethods__))}; a learner has {_listed(METHODS)}")
    if not _takes_context(entry):
        raise LearnerFailed(f"{name} cannot be called with one argument, the learner's context: def __init__(self, context)")
    try:
        made = entry(context)
    except FedactorsError:  # it says in one line what is wrong
        raise
    except (Exception, SystemExit) as error:
        raise LearnerFailed(f"{name} could not be made: {blamed(error)}") from error
    missing = missing_methods(made)
    if missing:
        raise LearnerFailed(f"{name} returned {kind_of(made)} without {_listed(missing)}; a learner has {_listed(METHODS)}")
    return made  # type: ignore[no-any-return]  # duck-typed: it has the four methods


def missing_methods(candidate: object) -> list[str]:
    """Which of a learner's four methods this object lacks."""
    return [method for method in METHODS if not callable(getattr(candidate, method, None))]


def _takes_context(entry: Any) -> bool:
    try:
        inspect.signature(entry).bind(None)
    except TypeError:
        return False
    except ValueError:  # a callable that does not tell its signature
        return True
    return True


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
