"""What a rule keeps from round to round, taken out of it and put back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from fedactors.errors import ModelError
from fedactors.model import Buffer, LearnerId, Weights

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class FoldState:
    """What a fold keeps between two rounds; the open round is no part of it.

    Attributes:
        arrays: what each commit changes, by name. They may be the fold's own, which its next call writes to.
        learners: whose leaving makes a difference, in the order that the fold has them in.
        updates: uint8[nbytes] of learners whose latest updates are kept. They are never written to again: the same object is the
            same update, and is not kept a second time.
    """

    arrays: Weights = field(default_factory=lambda: NOTHING)
    learners: tuple[LearnerId, ...] = ()
    updates: Mapping[LearnerId, Buffer] = field(default_factory=lambda: NOTHING)

    def __bool__(self) -> bool:
        return bool(self.arrays or self.learners or self.updates)


STATELESS = FoldState()
"""Of a rule that begins each round anew."""


def put_back(kept: Weights, own: Weights) -> None:
    """Copy what was kept into a rule's own arrays.

    Raises:
        ModelError: it is not what this rule keeps of this model; nothing was copied.
    """
    shapes, wanted = _shapes(kept), _shapes(own)
    if shapes != wanted:
        differing = next(name for name in [*wanted, *shapes] if shapes.get(name) != wanted.get(name))
        raise ModelError(
            f"what was kept has {shapes.get(differing, 'nothing')} as {differing!r}; this rule keeps "
            f"{wanted.get(differing, 'none')}"
        )
    for name, array in own.items():
        np.copyto(array, kept[name])


def _shapes(arrays: Weights) -> dict[str, str]:
    return {name: f"{array.dtype}{list(array.shape)}" for name, array in arrays.items()}
