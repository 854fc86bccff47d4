"""Flower's clients as learners: a NumPyClient, or the client_fn that makes one, unchanged, whether flwr is installed or not.

    [learners]
    entry = "flower:client.py:client_fn"

A client is known by its methods: `fit(parameters, config)` and, where it has them, `evaluate` and `get_parameters`. Parameters
are lists of arrays that belong to the client. `config` holds `server_round` and what [train] or [evaluate] says, also keys of
one's own. client_fn's context has "partition-id" and "num-partitions" in its `node_config`; `run_config` is [learners.options].

Unlike in Flower, where every message may make a client anew, one client lives as long as its learner.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from fedactors.errors import ConfigError, LearnerFailed
from fedactors.learner.base import Entry, Learner, LearnerContext
from fedactors.learner.blame import kind_of
from fedactors.learner.flower_names import Context, standing_in
from fedactors.model import Array
from fedactors.task import EvaluateParams, TrainParams

NO_PARAMETERS = (
    "the client gives no parameters to start from; let its get_parameters(config) return them, or write "
    'initial = "file:PATH.safetensors", whose tensors are named 0000, 0001, ...'
)


def flower(importing: Callable[[], Any]) -> Entry:
    """What makes a learner of a context, from what imports a NumPyClient, its class, a client_fn or a ClientApp.

    Raises:
        ConfigError: no object is named, but a file.
    """
    with standing_in():
        found = importing()
    if found is None:
        raise ConfigError('name the client, too: entry = "flower:client.py:client_fn"')

    def made(context: LearnerContext) -> FlowerLearner:
        with standing_in():
            return FlowerLearner(_client(found, context))

    return made


class FlowerLearner(Learner):
    """A NumPyClient at work.

    Args:
        client: has `fit`, and perhaps `evaluate` and `get_parameters`.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self._parameters: list[Array] = []

    @override
    def get_weights(self) -> list[Array]:
        if not self._parameters:
            getting = getattr(self.client, "get_parameters", None)
            self._parameters = list(getting({})) if getting is not None else []
        if not self._parameters:
            raise LearnerFailed(NO_PARAMETERS)
        return self._parameters

    @override
    def set_weights(self, weights: Sequence[Array]) -> None:
        self._parameters = _own(weights)

    @override
    def train(self, weights: Sequence[Array], params: TrainParams) -> tuple[list[Array], Mapping[str, Any]]:
        result = self.client.fit(_own(weights), _config(params))
        parameters, num_examples, metrics = _three("fit", "(parameters, num_examples, metrics)", result)
        self._parameters = list(parameters)
        return self._parameters, {**_numbers(metrics), "num_examples": num_examples}

    @override
    def evaluate(self, weights: Sequence[Array], params: EvaluateParams) -> Mapping[str, Any]:
        if not hasattr(self.client, "evaluate"):
            return {"num_examples": 0}
        result = self.client.evaluate(_own(weights), _config(params))
        loss, num_examples, metrics = _three("evaluate", "(loss, num_examples, metrics)", result)
        return {"loss": loss, **_numbers(metrics), "num_examples": num_examples} if num_examples else {"num_examples": 0}


def _client(found: Any, context: LearnerContext) -> Any:
    """The NumPyClient behind what was found."""
    name = getattr(found, "__qualname__", type(found).__name__)
    client = _made(getattr(found, "client_fn", found), context)
    client = getattr(client, "numpy_client", client)  # where flwr is installed, to_client() wraps it
    if type(client).__name__ == "ClientApp":
        raise LearnerFailed(f"{name} is a ClientApp of the installed flwr; name its client_fn in its place")
    if not callable(getattr(client, "fit", None)):
        raise LearnerFailed(f"{name} gave {kind_of(client)} without fit; a NumPyClient has get_parameters, fit and evaluate")
    if any(base.__name__ == "Client" and base.__module__.startswith("flwr.") for base in type(client).__mro__):
        raise LearnerFailed(f"{name} gave a Client, which speaks in Flower's messages; fedactors runs a NumPyClient")
    return client


def _made(found: Any, context: LearnerContext) -> Any:
    """What the class or function makes; anything else is the client itself."""
    if not (inspect.isclass(found) or inspect.isroutine(found)):
        return found
    make: Callable[..., Any] = found
    wanted = [one for one in inspect.signature(make).parameters.values() if one.default is one.empty and one.kind not in _MANY]
    if not wanted:
        return make()
    if wanted[0].name == "cid" or wanted[0].annotation in (str, "str"):
        return make(str(context.index))
    place = {"partition-id": context.index, "num-partitions": context.count}
    return make(Context(context.index, place, dict(context.options), context.seed))


_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _own(weights: Sequence[Array]) -> list[Array]:
    return [np.array(array) for array in weights]  # a client may train in place


def _config(params: TrainParams | EvaluateParams) -> dict[str, Any]:
    """What a client is told: `server_round`, and whatever the configuration says."""
    said = {name: getattr(params, name, None) for name in _SAID}
    return {"server_round": params.round, **{name: value for name, value in said.items() if value is not None}, **params.options}


_SAID = ("version", "seed", "epochs", "steps", "batch_size", "learning_rate", "proximal_mu")


def _three(method: str, form: str, result: Any) -> tuple[Any, Any, Any]:
    if not isinstance(result, tuple) or len(result) != 3:
        raise LearnerFailed(f"{method}() returned {kind_of(result)}; it returns {form}")
    return result


def _numbers(metrics: Mapping[str, Any] | None) -> dict[str, Any]:
    """Flower allows metrics that are texts and bytes, of which no mean can be told; they are left out."""
    return {name: value for name, value in (metrics or {}).items() if not isinstance(value, (str, bytes))}
