"""A model's values: one flat buffer plus the layout that says which tensor lies where.

    weights   {"conv.weight": float32[8, 1, 3, 3], ...}     what user code gives and takes
    layout    names, dtypes, shapes and offsets             small, shared, compared by digest
    buffer    uint8[layout.nbytes]                          what travels, is folded and is stored

Tensors are views of the buffer, never copies. Every tensor starts at a multiple of 64 bytes; the bytes between are zero.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt
import xxhash

from fedactors.errors import LayoutMismatch, ModelError

Array: TypeAlias = npt.NDArray[Any]
Weights: TypeAlias = Mapping[str, Array]
Buffer: TypeAlias = npt.NDArray[np.uint8]
LearnerId: TypeAlias = str
Version: TypeAlias = int

ALIGNMENT_BYTES = 64
TENSORS_MAX = 100_000
NAME_CHARS_MAX = 512
DIMENSIONS_MAX = 32

DTYPES: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(getattr(ml_dtypes, name, name))
    for name in (
        "bfloat16", "float16", "float32", "float64",
        "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
    )
}  # fmt: skip
"""Every dtype that a tensor may have, by the name that travels."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_SUMMED_FAST = (DTYPES["float32"], DTYPES["float64"])
"""Those that BLAS knows."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where one tensor lies in the buffer.

    Attributes:
        name: as in a state_dict; unique within the layout.
        dtype: a key of `DTYPES`.
        shape: () for a scalar.
        offset: bytes from the buffer's start; a multiple of `ALIGNMENT_BYTES`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the values alone, without the padding behind them."""
        return self.size * DTYPES[self.dtype].itemsize

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Layout:
    """Names, dtypes, shapes and places of a model's tensors, in order."""

    tensors: tuple[Tensor, ...]

    @classmethod
    def of(cls, weights: Weights) -> Layout:
        """The layout of these weights, in their order.

        Raises:
            ModelError: a name, a dtype or the number of tensors is not allowed.
        """
        return cls.from_specs([(name, dtype_name(name, array.dtype), array.shape) for name, array in weights.items()])

    @classmethod
    def from_specs(cls, specs: Sequence[tuple[str, str, Sequence[int]]]) -> Layout:
        """A layout from (name, dtype, shape) triples: what travels; offsets follow from them.

        Raises:
            ModelError: a name, dtype, shape or the number of tensors is not allowed.
        """
        if not 0 < len(specs) <= TENSORS_MAX:
            raise ModelError(f"a model has 1 to {TENSORS_MAX:,} tensors, not {len(specs):,}")
        tensors, offset, seen = [], 0, set[str]()
        for name, dtype, shape in specs:
            if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS_MAX or name in seen:
                raise ModelError(f"tensor name {name!r:.80} is empty, longer than {NAME_CHARS_MAX} characters or not unique")
            if not isinstance(dtype, str) or dtype not in DTYPES:
                raise ModelError(f"tensor {name!r} has dtype {dtype!r:.40}; allowed are {', '.join(DTYPES)}")
            if len(shape) > DIMENSIONS_MAX or any(not isinstance(extent, int) or extent < 0 for extent in shape):
                raise ModelError(f"tensor {name!r} has shape {shape!r:.80}; it is at most {DIMENSIONS_MAX} integers >= 0")
            seen.add(name)
            tensor = Tensor(name, dtype, tuple(shape), offset)
            tensors.append(tensor)
            offset += -(-tensor.nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return cls(tuple(tensors))

    @cached_property
    def specs(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """(name, dtype, shape) of each tensor: what travels."""
        return [(tensor.name, tensor.dtype, tensor.shape) for tensor in self.tensors]

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the whole buffer, padding included."""
        last = self.tensors[-1]
        return last.offset + -(-last.nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES

    @cached_property
    def num_parameters(self) -> int:
        """Number of elements of all tensors."""
        return sum(tensor.size for tensor in self.tensors)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that are equal for equal layouts (xxh3-128 of names, dtypes and shapes)."""
        return xxhash.xxh3_128_digest(repr(self.specs).encode())

    def views(self, buffer: Buffer) -> dict[str, Array]:
        """The tensors as views of `buffer`; they are writable where it is.

        Raises:
            LayoutMismatch: the buffer has another size.
        """
        if buffer.nbytes != self.nbytes:
            raise LayoutMismatch(f"the layout takes {self.nbytes:,} bytes, the buffer has {buffer.nbytes:,}")
        return {name: np.ndarray(shape, dtype, buffer, offset) for name, shape, dtype, offset in self._places}

    def pack(self, weights: Weights, out: Buffer | None = None) -> Buffer:
        """Copy `weights` into `out`, or into a new buffer, and return it. Whatever was in `out`, its padding is zero then.

        Raises:
            LayoutMismatch: names, shapes or dtypes differ from this layout; the message names the first difference.
        """
        difference = self.difference(weights)
        if difference is not None:
            raise LayoutMismatch(difference)
        buffer = np.empty(self.nbytes, np.uint8) if out is None else out
        for start, end in self._gaps:
            buffer[start:end] = 0
        for name, view in self.views(buffer).items():
            view[...] = weights[name]
        return buffer

    def difference(self, weights: Weights) -> str | None:
        """The first way in which `weights` differ from this layout, in words; None if they fit."""
        for tensor, (name, shape, dtype, _) in zip(self.tensors, self._places, strict=True):
            array = weights.get(name)
            if array is None:
                return f"tensor {tensor.name!r} is missing; the global model has {tensor}"
            if array.shape != shape:
                return f"tensor {tensor.name!r} has shape {list(array.shape)}; the global model has {tensor}"
            if array.dtype != dtype and array.dtype.newbyteorder("=") != dtype:
                return f"tensor {tensor.name!r} has dtype {array.dtype}; the global model has {tensor}"
        if len(weights) == len(self.tensors):
            return None
        names = {tensor.name for tensor in self.tensors}
        return f"tensor {next(name for name in weights if name not in names)!r} is not in the global model"

    @cached_property
    def _places(self) -> tuple[tuple[str, tuple[int, ...], np.dtype[Any], int], ...]:
        """(name, shape, dtype, offset) of each tensor: a model has hundreds, and each is looked at several times a round."""
        return tuple((tensor.name, tensor.shape, DTYPES[tensor.dtype], tensor.offset) for tensor in self.tensors)

    @cached_property
    def _gaps(self) -> tuple[tuple[int, int], ...]:
        """(first byte, end byte) of the padding behind each tensor that has some."""
        nexts = [*(tensor.offset for tensor in self.tensors[1:]), self.nbytes]
        ends = [tensor.offset + tensor.nbytes for tensor in self.tensors]
        return tuple((end, following) for end, following in zip(ends, nexts, strict=True) if end < following)

    def runs(self) -> tuple[tuple[str, int, int], ...]:
        """(dtype, first byte, end byte) of each longest stretch of one dtype, padding included.

        Padding is zero and stays zero under every linear combination, so a run is worked on as one flat array.
        """
        return self._runs

    @cached_property
    def _runs(self) -> tuple[tuple[str, int, int], ...]:
        return tuple(self._found_runs())

    def _found_runs(self) -> Iterator[tuple[str, int, int]]:
        start = 0
        for tensor, following in zip(self.tensors, [*self.tensors[1:], None], strict=True):
            if following is None:
                yield tensor.dtype, start, self.nbytes
            elif following.dtype != tensor.dtype:
                yield tensor.dtype, start, following.offset
                start = following.offset

    def first_not_finite(self, buffer: Buffer) -> str | None:
        """The name of the first tensor that holds NaN or an infinity; None if every value is finite."""
        for dtype, start, end in self._runs:
            if is_floating(dtype) and not all_finite(buffer[start:end].view(DTYPES[dtype])):
                break
        else:
            return None
        views = self.views(buffer)
        found = (t.name for t in self.tensors if is_floating(t.dtype) and not np.isfinite(views[t.name]).all())
        return next(found, None)  # None: what is not finite lies in the padding, which is nobody's value


def all_finite(values: Array) -> bool:
    """Whether no value, of whatever floating-point dtype, is NaN or an infinity.

    Either would show in a sum of squares, which takes a third of the time of a look at each value; where that is not finite,
    it may also have overflowed.
    """
    if values.dtype in _SUMMED_FAST:
        with np.errstate(over="ignore", invalid="ignore"):
            if math.isfinite(np.dot(values, values)):
                return True
    return bool(np.isfinite(values).all())


def dtype_name(tensor: str, dtype: np.dtype[Any]) -> str:
    """The travelling name of a numpy dtype.

    Raises:
        ModelError: the dtype is not one of `DTYPES`; the message names the tensor.
    """
    try:
        return _NAMES[dtype.newbyteorder("=")]
    except KeyError:
        raise ModelError(f"tensor {tensor!r} has dtype {dtype}; allowed are {', '.join(DTYPES)}") from None


def is_floating(dtype: str) -> bool:
    """Whether a dtype of `DTYPES` holds floating-point numbers."""
    return "float" in dtype


@dataclass(frozen=True, slots=True, eq=False)
class GlobalModel:
    """One committed version of the global model.

    Attributes:
        version: 0 for the initial model, then one more with each commit.
        layout: shared by all versions of a federation.
        buffer: uint8[layout.nbytes], read-only.
    """

    version: Version
    layout: Layout
    buffer: Buffer

    def __post_init__(self) -> None:
        assert self.buffer.nbytes == self.layout.nbytes
        self.buffer.flags.writeable = False

    @classmethod
    def initial(cls, weights: Weights) -> GlobalModel:
        """Version 0 from these weights, which are copied."""
        layout = Layout.of(weights)
        return cls(0, layout, layout.pack(weights))

    @property
    def sha256(self) -> str:
        """Of the buffer, hexadecimal: equal for equal weights in equal order."""
        return hashlib.sha256(self.buffer.data).hexdigest()

    @property
    def weights(self) -> dict[str, Array]:
        """The tensors as read-only views."""
        return self.layout.views(self.buffer)
