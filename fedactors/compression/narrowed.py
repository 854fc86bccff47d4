"""What the two 16-bit forms have in common."""

from __future__ import annotations

import enum
from abc import abstractmethod
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.compression.groups import Floats, Group, GroupedForm, Source, Spec, first_beyond
from fedactors.errors import ModelError
from fedactors.model import DTYPES, Array, Weights


class Of(enum.StrEnum):
    """What is narrowed."""

    DIFFERENCE = "difference"
    """The update less its base: what training changed."""
    WEIGHTS = "weights"
    """The new weights themselves."""


class Narrowed(GroupedForm):
    """Every value in 16 bits, rounded to nearest, half to even. Tensors of 16 bits travel as they are."""

    dtype: ClassVar[str]
    """In which values travel."""

    @property
    @abstractmethod
    def what(self) -> Of:
        """What is narrowed."""

    @property
    def needs_base(self) -> bool:  # type: ignore[override]  # by the option
        """Whether differences travel."""
        return self.what is Of.DIFFERENCE

    @override
    def packs(self, dtype: str) -> bool:
        return DTYPES[dtype].itemsize > 2

    @override
    def specs(self, group: Group) -> list[Spec]:
        return [(self._name(group), self.dtype, (group.size,))]

    def _name(self, group: Group) -> str:
        return f"{group.dtype} as {self.dtype} {self.what}"

    @override
    def encode(self, source: Source, packed: Weights, rng: np.random.Generator) -> None:
        group = source.group
        out = packed[self._name(group)]
        for block in group.blocks():
            values = source.block(block)
            np.copyto(out[block], values, casting="unsafe")
            if (place := self._overflown(values, out[block])) is not None:
                said = f"the {self.what} of tensor {group.name_at(block.start + place)!r} holds {values[place]:g}"
                raise ModelError(f"{said}, more than {self.dtype} can")

    def _overflown(self, values: Floats, narrow: Array) -> int | None:
        """A place that was finite and is no more."""
        if (finite := np.isfinite(narrow)).all():
            return None
        lost = np.isfinite(values) & ~finite
        return int(np.argmax(lost)) if lost.any() else None

    @override
    def decode(self, group: Group, packed: Weights, block: slice) -> Floats:
        values: Floats = packed[self._name(group)][block].astype(group.working)
        return values

    @override
    def wild(self, group: Group, packed: Weights) -> int | None:
        limit = group.difference_max if self.needs_base else np.finfo(group.working).max
        return first_beyond(packed[self._name(group)], float(limit))
