"""Sealed versions: what those who hold a key do with a model that the controller keeps without one.

version 0   weights ──initial──▶ sealed           by the learner that gives it
training    sealed ──opened──▶ weights ──train──▶ weights ──update──▶ sealed
the end     sealed ──opened──▶ weights            by whoever saves or looks at it
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fedactors.model import GlobalModel, Weights

_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SealingSpec:
    """What a controller says of how its federation seals.

    Attributes:
        method: of secure aggregation; empty: nothing is sealed.
        options: of the method, for learners.
        weighting: by which a learner finds the factor of its update.
    """

    method: str = ""
    options: Mapping[str, Any] = field(default_factory=lambda: _NO_OPTIONS)
    weighting: str = ""


UNSEALED = SealingSpec()


class Sealing(ABC):
    """One learner's sealing in one federation. Its methods raise ModelError where something cannot be sealed or opened."""

    @abstractmethod
    def initial(self, weights: Weights, num_examples: int) -> Weights:
        """Version 0, sealed, from its tensors and the examples that its learner has."""

    @abstractmethod
    def opened(self, model: GlobalModel) -> GlobalModel:
        """A version as learners know it."""

    @abstractmethod
    def update(self, weights: Weights, factor: float, base: GlobalModel) -> Weights:
        """An update, sealed: of the layout of the sealed version that it was trained from.

        Args:
            weights: the new tensors.
            factor: >= 0, by the federation's weighting.
            base: the sealed version.
        """


class Key(ABC):
    """What opens and closes a federation's versions."""

    @abstractmethod
    def sealing(self, spec: SealingSpec) -> Sealing:
        """The sealing that a controller asks for.

        Raises:
            ConfigError: it is none that this key is for; the message says what to do.
        """

    @abstractmethod
    def opened(self, model: GlobalModel) -> GlobalModel:
        """A version as learners know it.

        Raises:
            ModelError: it is not sealed, or by another key.
        """
