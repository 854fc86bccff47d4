"""How far apart two models are, tensor by tensor; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fedactors.errors import LayoutMismatch
from fedactors.model import Array, GlobalModel, Tensor

BLOCK_VALUES = 2**20
"""That are compared at a time, so that large tensors take no memory."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two arrays a and b, or of several taken together.

    Attributes:
        max_abs: max |b - a|; 0 where there are no values.
        squared: ||b - a||^2.
        of_squared: ||a||^2.
    """

    max_abs: float = 0.0
    squared: float = 0.0
    of_squared: float = 0.0

    @property
    def relative_l2(self) -> float:
        """||b - a|| / ||a||; 0 where they are equal, infinite where only a is zero."""
        if self.squared == 0.0:
            return 0.0
        return math.sqrt(self.squared / self.of_squared) if self.of_squared else math.inf

    def __add__(self, other: Difference) -> Difference:
        greatest = float(np.maximum(self.max_abs, other.max_abs))  # NaN, where one of them is
        return Difference(greatest, self.squared + other.squared, self.of_squared + other.of_squared)


def differences(a: GlobalModel, b: GlobalModel) -> list[tuple[Tensor, Difference]]:
    """Each tensor's difference, in the layout's order.

    Raises:
        LayoutMismatch: they do not have the same tensors.
    """
    mismatch = a.layout.difference(b.weights)
    if mismatch is not None:
        raise LayoutMismatch(f"version {b.version} cannot be compared with version {a.version}: {mismatch}")
    pairs = zip(a.layout.tensors, a.weights.values(), b.weights.values(), strict=True)
    return [(tensor, together(_blocks(one, other))) for tensor, one, other in pairs]


def together(parts: Iterable[Difference]) -> Difference:
    """The difference of all of them as one."""
    return sum(parts, Difference())


def _blocks(a: Array, b: Array) -> Iterator[Difference]:
    a, b = a.reshape(-1), b.reshape(-1)
    for start in range(0, a.size, BLOCK_VALUES):
        x, y = (values[start : start + BLOCK_VALUES].astype(np.float64) for values in (a, b))
        with np.errstate(all="ignore"):  # models that have diverged are compared, too
            y -= x
            yield Difference(float(np.abs(y).max()), float(y @ y), float(x @ x))
