"""How much less an update counts the staler it is; s >= 0 is the current version minus its base.

    constant    1
    polynomial  (1 + s)^-a
    hinge       1 if s <= b, else 1 / (a (s - b) + 1)

Source: Xie, Koyejo and Gupta, Asynchronous Federated Optimization, OPT 2020, section 5.2, arXiv:1903.03934. There the hinge is
1 / (a (s - b) + 1) too, with a = 10 and b = 4, and the polynomial has a = 0.5.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from fedactors.errors import ConfigError


class Discount(ABC):
    """A staleness discount: a factor in (0, 1], 1 for an update that is not stale."""

    @abstractmethod
    def factor(self, staleness: int) -> float:
        """The discount of an update of this staleness, >= 0."""


@dataclass(frozen=True, slots=True)
class Constant(Discount):
    """1: stale updates count as much as others."""

    @override
    def factor(self, staleness: int) -> float:
        return 1.0


@dataclass(frozen=True, slots=True)
class Polynomial(Discount):
    """(1 + s)^-a.

    Attributes:
        a: >= 0; 0 discounts nothing.
    """

    a: float = 0.5

    def __post_init__(self) -> None:
        _not_negative("polynomial", "a", self.a)

    @override
    def factor(self, staleness: int) -> float:
        return float((1.0 + staleness) ** -self.a)


@dataclass(frozen=True, slots=True)
class Hinge(Discount):
    """1 up to s = b, then 1 / (a (s - b) + 1).

    Attributes:
        a: >= 0; how fast it falls.
        b: >= 0; the staleness that costs nothing, in versions.
    """

    a: float = 10.0
    b: float = 4.0

    def __post_init__(self) -> None:
        _not_negative("hinge", "a", self.a)
        _not_negative("hinge", "b", self.b)

    @override
    def factor(self, staleness: int) -> float:
        return 1.0 / (self.a * max(staleness - self.b, 0.0) + 1.0)


DISCOUNTS: Mapping[str, type[Discount]] = {"constant": Constant, "polynomial": Polynomial, "hinge": Hinge}
"""By the name that the configuration uses."""


def _not_negative(discount: str, option: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ConfigError(f"discount {discount!r} has {option}={value}; give a finite number >= 0")
