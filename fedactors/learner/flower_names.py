"""The names of flwr that a client is written with, for machines where flwr is not installed.

Nothing of them runs a federation: they let a client's file be imported, and hold what it says.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedactors.errors import LearnerFailed

NDArrays: TypeAlias = list[NDArray[Any]]
Scalar: TypeAlias = bool | bytes | float | int | str


@dataclass
class Context:
    """What a client_fn is told of its place.

    Attributes:
        node_id: its place among the learners, from 0.
        node_config: the same as "partition-id", and how many there are as "num-partitions".
        run_config: the keys of [learners.options].
        run_id: the run's seed.
        state: the client's own, kept as long as its process lives.
    """

    node_id: int = 0
    node_config: Mapping[str, Any] = field(default_factory=dict)
    run_config: Mapping[str, Any] = field(default_factory=dict)
    run_id: int = 0
    state: dict[str, Any] = field(default_factory=dict)


class NumPyClient:
    """A client that speaks in lists of arrays; it overrides what it can do."""

    def get_parameters(self, _config: dict[str, Scalar]) -> NDArrays:
        """The weights to start from; none, where the server has them."""
        return []

    def evaluate(self, _parameters: NDArrays, _config: dict[str, Scalar]) -> tuple[float, int, dict[str, Scalar]]:
        """No loss on no examples."""
        return 0.0, 0, {}

    def to_client(self) -> NumPyClient:
        """It is taken as it is."""
        return self


class ClientApp:
    """Holds a client_fn."""

    def __init__(self, client_fn: Callable[..., Any] | None = None, mods: list[Any] | None = None) -> None:
        if client_fn is None or mods:
            what = "a ClientApp with mods" if mods else "a ClientApp of @app.train functions"
            raise LearnerFailed(
                f"{what} speaks in Flower's messages; fedactors runs a NumPyClient, or a client_fn that makes one"
            )
        self.client_fn = client_fn


_TYPES: Mapping[str, Any] = {
    "Config": dict[str, Scalar],
    "Context": Context,
    "Metrics": dict[str, Scalar],
    "NDArray": NDArray[Any],
    "NDArrayFloat": NDArray[np.float64],
    "NDArrayInt": NDArray[np.int64],
    "NDArrays": NDArrays,
    "Scalar": Scalar,
}
_LOG: Mapping[str, Any] = {"log": logging.getLogger("flwr").log}
_CLIENT: Mapping[str, Any] = {"ClientApp": ClientApp, "NumPyClient": NumPyClient}

_MODULES: Mapping[str, Mapping[str, Any]] = {
    "flwr": {},
    "flwr.app": {"Context": Context},
    "flwr.client": _CLIENT,
    "flwr.clientapp": {"ClientApp": ClientApp},
    "flwr.common": {**_TYPES, **_LOG},
    "flwr.common.logger": _LOG,
    "flwr.common.typing": _TYPES,
}


@contextmanager
def standing_in() -> Iterator[None]:
    """Have these names found where `import flwr` would find nothing; afterwards it finds nothing again."""
    if "flwr" in sys.modules or importlib.util.find_spec("flwr") is not None:
        yield
        return
    sys.modules.update(_modules())
    try:
        yield
    finally:
        for name in _MODULES:
            sys.modules.pop(name, None)


def _modules() -> dict[str, ModuleType]:
    made = {name: ModuleType(name, "Stands in for a module of flwr, which is not installed.") for name in _MODULES}
    for name, module in made.items():
        vars(module).update(_MODULES[name], __path__=[], __getattr__=_absent(name))
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(made[parent], child, module)
    return made


def _absent(module: str) -> Callable[[str], NoReturn]:
    def absent(name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        known = "NumPyClient, ClientApp, Context and types"
        raise LearnerFailed(f"{module}.{name} is not at hand: fedactors brings {known} of flwr, for the rest pip install flwr")

    return absent
