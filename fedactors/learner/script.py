"""A learner written as a script, from its first line to its last, in NVFlare's words.

    from fedactors.learner import script as flare

    flare.init(weights)                                   the weights to start from, unless the federation has a file of them
    while flare.is_running():
        model = flare.receive()
        weights, loss = train(model.params)
        flare.send(flare.FLModel(params=weights, metrics={"loss": loss}))

    [learners]
    entry = "script:train.py"

A script that asks `is_evaluate()` is given models to evaluate, too, and sends metrics alone; one that never asks is only given
models to train. What goes around each call, and the thread that the script runs in, is in `scripted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fedactors.errors import LearnerFailed
from fedactors.learner.base import LearnerContext

if TYPE_CHECKING:
    from fedactors.learner.scripted import Exchange

exchange: ContextVar[Exchange | None] = ContextVar("exchange", default=None)
"""With the learner, whose script this thread runs."""


@dataclass(slots=True)
class FLModel:
    """A model on its way to a script or back.

    Attributes:
        params: tensors by name, or in order: arrays, or PyTorch tensors where `init` was given such. They are the script's own.
        metrics: numbers by name.
        meta: NUM_STEPS_CURRENT_ROUND, as NVFlare calls it, or num_batches: how many batches were trained on; num_examples: on how
            many examples, or on how many it was evaluated.
        current_round: of the task, from 1.
        config: what [train] or [evaluate] says, by its keys.
    """

    params: Any = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    current_round: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


def init(weights: Any = None) -> None:
    """Begin; `weights` become version 0, if the draw falls on this learner.

    Raises:
        LearnerFailed: the script is not run by fedactors.
    """
    _exchange().begin(weights)


def is_running() -> bool:
    """Wait for the next model; False once there will be none."""
    return _exchange().wait()


def receive() -> FLModel | None:
    """The next model; None once there will be none.

    Raises:
        LearnerFailed: the last one was not answered.
    """
    return _exchange().receive()


def send(model: FLModel) -> None:
    """Answer the model that was received last.

    Raises:
        LearnerFailed: there is none, or it was answered already.
    """
    _exchange().send(model)


def is_train() -> bool:
    """Whether the model that is at hand is to be trained."""
    return not _exchange().is_evaluation()


def is_evaluate() -> bool:
    """Whether the model that is at hand is to be evaluated."""
    return _exchange().is_evaluation()


def context() -> LearnerContext:
    """Which learner this is: its index, how many there are, the seed, and [learners.options]."""
    return _exchange().context


def get_site_name() -> str:
    """This learner's identity."""
    return _exchange().context.id


def _exchange() -> Exchange:
    found = exchange.get()
    if found is None:
        raise LearnerFailed('this script is not run by fedactors; name it in [learners]: entry = "script:train.py"')
    return found
