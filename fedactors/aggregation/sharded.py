"""A model in shards: contiguous stretches of its buffer, each combined by itself, with the bits that the whole would have.

    cut(layout, 3)    [Shard 0: bytes 0 to a] [Shard 1: a to b] [Shard 2: b to the end]     a tensor may lie in two of them
    ShardFold         a rule at work on one shard: of each update it reads that stretch alone

What holds for a rule that is `elementwise`: each parameter's result depends on that parameter's values, and on numbers that are
the same for the whole update. So shards need nothing of one another, and can be combined one after the other, in threads or on
several machines. Boundaries are multiples of a tensor's alignment, so that no element is cut.

Updates wait outside of memory until their round is combined: a `Source` is one, wherever it is. Of a rule that folds, a shard at
work holds its accumulator and the stretch of one update; of a rule that keeps updates, the stretch of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from typing_extensions import override

from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.frozen import Frozen
from fedactors.aggregation.state import STATELESS, FoldState
from fedactors.model import ALIGNMENT_BYTES, DTYPES, Buffer, GlobalModel, Layout, Tensor, Version

NOWHERE: Buffer = np.empty(0, np.uint8)
"""The buffer of a contribution whose weights are in a source."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A stretch of a model's buffer.

    Attributes:
        number: from 0, in order.
        start: its first byte.
        stop: behind its last byte.
        layout: of the stretch as a model by itself: what lies in it of each tensor, flat, under the tensor's name.
    """

    number: int
    start: int
    stop: int
    layout: Layout

    @property
    def nbytes(self) -> int:
        """Bytes of the stretch."""
        return self.stop - self.start


def cut(layout: Layout, shards: int) -> list[Shard]:
    """A model in so many shards of about equal size; fewer, where it has not as many stretches of ALIGNMENT_BYTES."""
    assert shards > 0
    units = layout.nbytes // ALIGNMENT_BYTES
    number = min(shards, units)
    bounds = [units * place // number * ALIGNMENT_BYTES for place in range(number + 1)]
    return [Shard(place, start, stop, stretch(layout, start, stop)) for place, (start, stop) in enumerate(pairwise(bounds))]


def stretch(layout: Layout, start: int, stop: int) -> Layout:
    """The layout of what lies from byte `start` to byte `stop`, multiples of ALIGNMENT_BYTES; not of nothing."""
    specs = []
    begin = max(bisect_right(layout.tensors, start, key=_offset) - 1, 0)
    for tensor in layout.tensors[begin : bisect_left(layout.tensors, stop, key=_offset)]:
        first, end = max(tensor.offset, start), min(tensor.offset + tensor.nbytes, stop)
        if first < end:
            specs.append((tensor.name, tensor.dtype, ((end - first) // DTYPES[tensor.dtype].itemsize,)))
    return Layout.from_specs(specs)


def _offset(tensor: Tensor) -> int:
    return tensor.offset


class Source(ABC):
    """A buffer of which a stretch at a time is in memory."""

    @abstractmethod
    def read(self, start: int, out: Buffer) -> None:
        """Fill `out` with what lies from byte `start` on. Blocks.

        Raises:
            OSError: it cannot be read.
        """


@dataclass(frozen=True, slots=True, eq=False)
class InMemory(Source):
    """One that is there as a whole.

    Attributes:
        buffer: it; read-only from now on.
    """

    buffer: Buffer

    @override
    def read(self, start: int, out: Buffer) -> None:
        out[:] = self.buffer[start : start + out.nbytes]


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """An update that waits for its round to be combined.

    Attributes:
        contribution: all but the weights.
        weights: the learner's new weights.
        base: what training started from; None where the rule does not need it.
    """

    contribution: Contribution
    weights: Source
    base: Source | None = None

    def within(self, shard: Shard, memory: Callable[[int], Buffer]) -> Contribution:
        """What a rule sees of it in a shard, in memory of so many bytes."""
        base = None if self.base is None else read(self.base, shard, memory)
        return replace(self.contribution, buffer=read(self.weights, shard, memory), base=base)


def read(source: Source, shard: Shard, memory: Callable[[int], Buffer]) -> Buffer:
    """A shard's stretch: a view of what is in memory, else a copy in memory of so many bytes."""
    if isinstance(source, InMemory):
        return source.buffer[shard.start : shard.stop]
    out = memory(shard.nbytes)
    source.read(shard.start, out)
    return out


class Tray:
    """Memory for the stretches of one update, used again for the next one."""

    def __init__(self) -> None:
        self._arrays: list[Buffer] = []
        self._used = 0

    def take(self, nbytes: int) -> Buffer:
        """An array; its size is the same at each call."""
        if self._used == len(self._arrays):
            self._arrays.append(np.empty(nbytes, np.uint8))
        self._used += 1
        return self._arrays[self._used - 1]

    def clear(self) -> None:
        """All arrays are free again."""
        self._used = 0

    def leave(self) -> None:
        """What was taken stays with whoever has it."""
        self._arrays, self._used = [], 0


class ShardFold:
    """A rule at work on one shard. Between two rounds it holds what the rule keeps, and nothing else.

    Attributes:
        shard: which.
    """

    def __init__(self, rule: Rule, shard: Shard, state: FoldState = STATELESS) -> None:
        """Begin, or go on where the fold went on that gave this state."""
        assert rule.elementwise, "a rule that looks at whole updates cannot be cut into shards"
        self.shard = shard
        self._rule = rule
        self._state = state

    def combine(self, updates: Sequence[Waiting], current: Buffer, version: Version, out: Buffer) -> None:
        """Write the shard of the next version.

        Args:
            updates: of the round, in the order that they are combined in.
            current: uint8[shard.nbytes], of the newest version.
            version: of `current`.
            out: uint8[shard.nbytes].

        Raises:
            ModelError: they cannot be combined, in this shard nor in any other, or the state that it began with is none of
                this rule on this shard; the state is what it was.
            OSError: an update cannot be read; the fold is of no use any more.
        """
        if self._stands_still:
            out[:] = current
            return
        fold, model = self._fold(), GlobalModel(version, self.shard.layout, current)
        out[:] = self._kept(fold, updates, model) if self._rule.keeps_updates else self._folded(fold, updates, model)
        self._state = fold.state()

    @property
    def _stands_still(self) -> bool:
        return isinstance(self._rule, Frozen) and self._rule.freezes(self.shard.layout)

    def _fold(self) -> Fold:
        """The rule at work on one round: its accumulators are let go of after it."""
        fold = self._rule.fold(self.shard.layout)
        if self._state:
            fold.restore(self._state)
        return fold

    def _kept(self, fold: Fold, updates: Sequence[Waiting], model: GlobalModel) -> Buffer:
        return fold.commit_with([update.within(self.shard, _new) for update in updates], model)

    def _folded(self, fold: Fold, updates: Sequence[Waiting], model: GlobalModel) -> Buffer:
        tray = Tray()
        for update in updates:
            contribution = update.within(self.shard, tray.take)
            fold.add(contribution)
            if fold.holds(contribution.buffer):
                tray.leave()
            tray.clear()
        return fold.commit(model)

    def state(self) -> FoldState:
        """What the rule keeps from round to round; its arrays may be written to by the next round."""
        return self._state


def _new(nbytes: int) -> Buffer:
    return np.empty(nbytes, np.uint8)


def combined(folds: Sequence[ShardFold], updates: Sequence[Waiting], current: GlobalModel) -> Buffer:
    """The next version's buffer, shard after shard.

    Raises:
        ModelError: the updates cannot be combined.
    """
    out = np.empty(current.layout.nbytes, np.uint8)
    for fold in folds:
        at = slice(fold.shard.start, fold.shard.stop)
        fold.combine(updates, current.buffer[at], current.version, out[at])
    return out
