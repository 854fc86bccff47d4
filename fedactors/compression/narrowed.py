"""What the two 16-bit forms have in common."""

from __future__ import annotations

import enum
from abc import abstractmethod
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.compression.groups import Floats, Group, GroupedForm, Spec, first_beyond
from fedactors.errors import ModelError
from fedactors.model import DTYPES, Buffer, Weights


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
    def pack_group(self, group: Group, update: Buffer, base: Buffer, packed: Weights, rng: np.random.Generator) -> None:
        out = packed[self._name(group)]
        for block in group.blocks():
            values = group.difference(update, base, block) if self.needs_base else group.read(update, block)
            np.copyto(out[block], values, casting="unsafe")
            if (place := self._overflown(values, out[block])) is not None:
                said = f"the {self.what} of tensor {group.name_at(block.start + place)!r} holds {values[place]:g}"
                raise ModelError(f"{said}, more than {self.dtype} can")

    def _overflown(self, values: Floats, narrow: np.ndarray) -> int | None:
        """A place that was finite and is no more."""
        if (finite := np.isfinite(narrow)).all():
            return None
        lost = np.isfinite(values) & ~finite
        return int(np.argmax(lost)) if lost.any() else None

    @override
    def unpack_group(self, group: Group, packed: Weights, base: Buffer, out: Buffer) -> None:
        narrow = packed[self._name(group)]
        for block in group.blocks():
            values = narrow[block].astype(group.working)
            if self.needs_base:
                np.add(values, group.read(base, block), out=values)
            group.write(out, block, values)

    @override
    def wild(self, group: Group, packed: Weights) -> int | None:
        limit = group.difference_max if self.needs_base else np.finfo(group.working).max
        return first_beyond(packed[self._name(group)], float(limit))
