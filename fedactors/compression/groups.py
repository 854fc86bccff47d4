"""All tensors of one floating-point dtype as one vector without padding: what is packed, and how it is read and written."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fedactors.aggregation.lanes import share_out
from fedactors.form import Form, Residual
from fedactors.model import DTYPES, Array, Buffer, Layout, Tensor, Weights, is_floating

BLOCK = 131_072
"""Elements that are worked on at a time: they and a temporary stay in cache."""

Floats: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Spec: TypeAlias = tuple[str, str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Group:
    """The vector.

    Attributes:
        dtype: of its tensors, a floating-point one.
        tensors: in the model's order, none of them empty.
        starts: where each begins in the vector; then the vector's size.
    """

    dtype: str
    tensors: tuple[Tensor, ...]
    starts: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.starts[-1]

    @property
    def working(self) -> np.dtype[Any]:
        """In which differences of its values are taken: float64, or float32 for anything smaller."""
        return np.dtype(np.float64 if self.dtype == "float64" else np.float32)

    @property
    def difference_max(self) -> float:
        """No difference is greater whose sum with a base of up to the same size is finite."""
        return float(np.finfo(self.working).max) / 2 if DTYPES[self.dtype].itemsize > 2 else _narrow_max(self.dtype) / 2

    def blocks(self) -> Iterator[slice]:
        """The vector in pieces of BLOCK elements."""
        return (slice(start, min(start + BLOCK, self.size)) for start in range(0, self.size, BLOCK))

    def read(self, model: Buffer, block: slice) -> Floats:
        """A block of a model's vector, in the working dtype; the caller's own."""
        out = np.empty(block.stop - block.start, self.working)
        for here, there in self._parts(model, block):
            np.copyto(out[here], there, casting="unsafe")
        return out

    def subtract(self, values: Floats, base: Buffer, block: slice) -> None:
        """Take a block of a model's vector away from these values."""
        for here, there in self._parts(base, block):
            np.subtract(values[here], there, out=values[here])

    def write(self, model: Buffer, block: slice, values: Floats, base: Buffer | None = None) -> None:
        """Write a block of a model's vector, or its sum with that of a base; rounded to nearest where the dtype is narrower."""
        bases = self._parts(model if base is None else base, block)
        for (here, there), (_, from_) in zip(self._parts(model, block), bases, strict=True):
            if base is None:
                np.copyto(there, values[here], casting="unsafe")
            else:
                np.add(values[here], from_, out=there, casting="unsafe")

    def name_at(self, index: int) -> str:
        """Whose element stands at a place of the vector."""
        return self.tensors[bisect_right(self.starts, index) - 1].name

    def _parts(self, model: Buffer, block: slice) -> Iterator[tuple[slice, Array]]:
        """(place in the block, elements of a tensor in the model) of each piece that a block consists of."""
        dtype, at = DTYPES[self.dtype], block.start
        index = bisect_right(self.starts, at) - 1
        while at < block.stop:
            tensor, end = self.tensors[index], min(self.starts[index + 1], block.stop)
            first = tensor.offset + (at - self.starts[index]) * dtype.itemsize
            values = model[first : first + (end - at) * dtype.itemsize].view(dtype)
            yield slice(at - block.start, end - block.start), values
            at, index = end, index + 1


@dataclass(frozen=True, slots=True)
class Division:
    """A model's tensors as a form sees them.

    Attributes:
        groups: of tensors that are packed.
        others: that travel as they are.
        layout: of what travels.
    """

    groups: tuple[Group, ...]
    others: tuple[Tensor, ...]
    layout: Layout


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What is packed of a group: the new weights, or their difference from a base and what was held back.

    Attributes:
        group: whose.
        update: the new weights.
        base: what is subtracted from them; None: nothing.
        held_back: what is added; None: nothing.
    """

    group: Group
    update: Buffer
    base: Buffer | None
    held_back: Floats | None

    def block(self, block: slice) -> Floats:
        """A block of it, in the working dtype; the caller's own."""
        values = self.group.read(self.update, block)
        if self.base is not None:
            self.group.subtract(values, self.base, block)
        if self.held_back is not None:
            np.add(values, self.held_back[block], out=values)
        return values


class GroupedForm(Form):
    """A form that packs each group by itself."""

    @property
    def holds_back(self) -> bool:
        """Whether what is left out is held back for the next update."""
        return False

    @abstractmethod
    def packs(self, dtype: str) -> bool:
        """Whether tensors of a floating-point dtype are packed, rather than sent as they are."""

    @abstractmethod
    def specs(self, group: Group) -> list[Spec]:
        """What travels of a group."""

    @abstractmethod
    def encode(self, source: Source, packed: Weights, rng: np.random.Generator) -> None:
        """Fill what travels of a group. Raises ModelError as `pack`."""

    @abstractmethod
    def decode(self, group: Group, packed: Weights, block: slice) -> Floats:
        """A block of what was encoded, in the working dtype; the caller's own."""

    def group_problem(self, group: Group, packed: Weights) -> str | None:  # noqa: ARG002  # most can unpack any bits
        """As `problem`, of one group."""
        return None

    @abstractmethod
    def wild(self, group: Group, packed: Weights) -> int | None:
        """A place of the group's vector where a value would be NaN or infinite."""

    def division(self, model: Layout) -> Division:
        """The model's tensors as this form sees them."""
        return _divided(self, model)

    @override
    def layout(self, model: Layout) -> Layout:
        return self.division(model).layout

    @override
    def pack(self, update: Buffer, base: Buffer, model: Layout, seed: int) -> Buffer:
        return self._packed(update, base, model, seed, None)

    @override
    def pack_with(self, update: Buffer, base: Buffer, model: Layout, seed: int, residual: Residual) -> Buffer:
        return self._packed(update, base, model, seed, residual)

    def _packed(self, update: Buffer, base: Buffer, model: Layout, seed: int, residual: Residual | None) -> Buffer:
        division, rng = self.division(model), np.random.Generator(np.random.SFC64(seed))
        out = np.zeros(division.layout.nbytes, np.uint8)
        packed = division.layout.views(out)
        with np.errstate(all="ignore"):  # a diverged learner's infinities are refused where every other is
            for group in division.groups:
                held_back = None if residual is None else residual[group.dtype]
                source = Source(group, update, base if self.needs_base else None, held_back)
                self.encode(source, packed, rng)
                if held_back is not None:
                    self._hold_back(source, packed, held_back)
        for tensor in division.others:
            np.copyto(packed[tensor.name], _view(tensor, update))
        return out

    def _hold_back(self, source: Source, packed: Weights, held_back: Floats) -> None:
        for block in source.group.blocks():
            left = source.block(block)
            np.subtract(left, self.decode(source.group, packed, block), out=left)
            held_back[block] = np.where(np.isfinite(left), left, 0)

    @override
    def nothing_held_back(self, model: Layout) -> Residual | None:
        if not self.holds_back:
            return None
        return {group.dtype: np.zeros(group.size, group.working) for group in self.division(model).groups}

    @override
    def give_back(self, packed: Buffer, model: Layout, residual: Residual) -> None:
        division = self.division(model)
        views = division.layout.views(packed)
        for group in division.groups:
            for block in group.blocks():
                sent = self.decode(group, views, block)
                residual[group.dtype][block] += np.where(np.isfinite(sent), sent, 0)

    @override
    def unpack(self, packed: Buffer, base: Buffer, model: Layout, out: Buffer) -> None:
        division = self.division(model)
        views = division.layout.views(packed)
        for group in division.groups:

            def write(block: slice, group: Group = group) -> None:
                group.write(out, block, self.decode(group, views, block), base if self.needs_base else None)

            share_out(write, list(group.blocks()), group.size)
        for tensor in division.others:
            np.copyto(_view(tensor, out), views[tensor.name])

    @override
    def problem(self, packed: Buffer, model: Layout) -> str | None:
        division = self.division(model)
        views = division.layout.views(packed)
        return next(filter(None, (self.group_problem(group, views) for group in division.groups)), None)

    @override
    def first_not_finite(self, packed: Buffer, model: Layout) -> str | None:
        division = self.division(model)
        views = division.layout.views(packed)
        for group in division.groups:
            if (place := self.wild(group, views)) is not None:
                return group.name_at(place)
        floating = (tensor for tensor in division.others if is_floating(tensor.dtype))
        return next((tensor.name for tensor in floating if not np.isfinite(views[tensor.name]).all()), None)


def first_beyond(values: Array, limit: float) -> int | None:
    """The first place whose value is NaN, or farther from 0 than a limit."""
    working = np.float64 if values.dtype == np.float64 else np.float32
    limit = min(limit, float(np.finfo(working).max))
    for start in range(0, values.size, BLOCK):
        block = np.abs(values[start : start + BLOCK].astype(working))
        if not block.max() <= limit:
            return start + int(np.argmax(~(block <= limit)))
    return None


@lru_cache(maxsize=8)
def _divided(form: GroupedForm, model: Layout) -> Division:
    packed = [t for t in model.tensors if is_floating(t.dtype) and t.size and form.packs(t.dtype)]
    groups = tuple(_grouped(dtype, [t for t in packed if t.dtype == dtype]) for dtype in sorted({t.dtype for t in packed}))
    names = {tensor.name for tensor in packed}
    others = tuple(tensor for tensor in model.tensors if tensor.name not in names)
    specs = [*chain.from_iterable(map(form.specs, groups)), *((t.name, t.dtype, t.shape) for t in others)]
    return Division(groups, others, Layout.from_specs(specs))


def _grouped(dtype: str, tensors: list[Tensor]) -> Group:
    return Group(dtype, tuple(tensors), (0, *accumulate(tensor.size for tensor in tensors)))


def _view(tensor: Tensor, buffer: Buffer) -> Array:
    return buffer[tensor.offset : tensor.offset + tensor.nbytes].view(DTYPES[tensor.dtype]).reshape(tensor.shape)


def _narrow_max(dtype: str) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(DTYPES[dtype]).max)
