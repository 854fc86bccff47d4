"""Frozen tensors: they travel with the model, and no update changes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from typing_extensions import override

from fedactors.aggregation._kernels import zero_padding
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.wrapping import Wrapping, WrappingFold
from fedactors.errors import ConfigError, ModelError
from fedactors.model import Buffer, GlobalModel, Layout
from fedactors.scope import matches


@dataclass(frozen=True, slots=True)
class Frozen(Wrapping):
    """Any rule, over a part of the model; the rest of every version is what version 0 holds, bit for bit.

    The rule sees a model without the frozen tensors: what learners send in their place counts for no distance and no norm, and
    takes no place in its accumulators. Memory: a copy of what is not frozen, or one for each update where the rule keeps updates.

    Attributes:
        rule: the rule that combines.
        patterns: globs of the frozen tensors' names.
    """

    rule: Rule
    patterns: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.patterns:
            raise ConfigError("no pattern says which tensors are frozen; use the rule as it is")

    @property
    def elementwise(self) -> bool:  # type: ignore[override]  # as the rule that combines
        """As the rule that combines."""
        return self.rule.elementwise

    def freezes(self, layout: Layout) -> bool:
        """Whether all of it is frozen."""
        return all(matches(self.patterns, tensor.name) for tensor in layout.tensors)

    @override
    def fold(self, layout: Layout) -> Fold:
        """The rule at work on models of this layout; ModelError if all of it is frozen."""
        part = Part(layout, self.patterns)
        return self.rule.fold(layout) if part.is_whole else FrozenFold(self, part)


class Part:
    """A layout without its frozen tensors, and the way of buffers from one to the other.

    Attributes:
        layout: without the frozen tensors.
        is_whole: nothing is frozen.
    """

    def __init__(self, layout: Layout, patterns: tuple[str, ...]) -> None:
        free = [tensor for tensor in layout.tensors if not matches(patterns, tensor.name)]
        if not free:
            raise ModelError(f"every tensor is frozen by {list(patterns)}; nothing is left to combine")
        self._whole = layout
        self.layout = Layout.from_specs([(tensor.name, tensor.dtype, tensor.shape) for tensor in free])
        self.is_whole = len(free) == len(layout.tensors)
        self._spans = list(_spans([tensor.offset for tensor in free], self.layout))

    def taken(self, buffer: Buffer, out: Buffer | None = None) -> Buffer:
        """What is not frozen of a whole buffer, in `out` or in a new one."""
        out = np.zeros(self.layout.nbytes, np.uint8) if out is None else out
        for there, here, nbytes in self._spans:
            out[here : here + nbytes] = buffer[there : there + nbytes]
        return out

    def put(self, part: Buffer, current: Buffer) -> Buffer:
        """A whole new buffer: `part`, and what is frozen from `current`."""
        out = current.copy()
        for there, here, nbytes in self._spans:
            out[there : there + nbytes] = part[here : here + nbytes]
        zero_padding(out, self._whole)
        return out


def _spans(offsets: list[int], part: Layout) -> Iterator[tuple[int, int, int]]:
    """(offset in the whole, offset in the part, bytes) of each stretch of tensors that lie alike in both, given those of all."""
    for distance, stretch in groupby(zip(offsets, part.tensors, strict=True), lambda pair: pair[0] - pair[1].offset):
        tensors = [tensor for _, tensor in stretch]
        first, last = tensors[0].offset, tensors[-1]
        yield distance + first, first, last.offset + last.nbytes - first


class FrozenFold(WrappingFold):
    """The rule's fold on the part that is not frozen, and the memory in which an update's part lies."""

    def __init__(self, rule: Frozen, part: Part) -> None:
        super().__init__(rule.rule.fold(part.layout))
        self._part = part
        self._keeps = rule.keeps_updates
        self._scratch: Buffer | None = None

    @override
    def add(self, contribution: Contribution) -> None:
        base = None if contribution.base is None else self._part.taken(contribution.base)
        self._scratch = self._part.taken(contribution.buffer, None if self._keeps else self._scratch)
        self._fold.add(replace(contribution, buffer=self._scratch, base=base))

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        part = self._part
        combined = self._fold.commit(GlobalModel(current.version, part.layout, part.taken(current.buffer)))
        return part.put(combined, current.buffer)
