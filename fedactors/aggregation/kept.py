"""Rules that need all updates of a round at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from fedactors.aggregation._kernels import zero_padding
from fedactors.aggregation.base import Contribution, Fold
from fedactors.aggregation.roll import Roll
from fedactors.model import Buffer, GlobalModel, Layout


class KeptFold(Fold):
    """Holds the updates of the open round that count, without copying them, until it is combined."""

    def __init__(self, layout: Layout, updates_min: int, name: str) -> None:
        """For a rule of this name, which needs so many updates."""
        self.layout = layout
        self._updates_min = updates_min
        self._name = name
        self._kept: list[Contribution] = []
        self._roll = Roll()

    @override
    def add(self, contribution: Contribution) -> None:
        if self._roll.enter(contribution):
            self._kept.append(contribution)

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        kept, self._kept = self._kept, []
        self._roll.close(updates_min=self._updates_min, needed_by=self._name)
        return self.combined(kept, current)

    @override
    def abandon(self) -> None:
        self._kept.clear()
        self._roll.clear()

    @abstractmethod
    def combined(self, kept: Sequence[Contribution], current: GlobalModel) -> Buffer:
        """The next version from these updates, at least as many as the rule needs."""


def copied(layout: Layout, buffer: Buffer) -> Buffer:
    """One update as the next version: a peer's padding is zeroed, its bools are 0 or 1."""
    out = buffer.copy()
    for tensor in layout.tensors:
        if tensor.dtype == "bool":
            flags = out[tensor.offset : tensor.offset + tensor.nbytes]
            np.not_equal(flags, 0, out=flags.view(np.bool_))
    zero_padding(out, layout)
    return out
