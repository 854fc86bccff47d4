"""Eight bits for each value."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.compression.groups import BLOCK, Floats, Group, GroupedForm, Source, Spec, first_beyond
from fedactors.errors import ConfigError
from fedactors.model import Weights

LEVELS = 127
"""Steps on either side of zero."""
BLOCK_MIN = 16


class Rounding(enum.StrEnum):
    """Where a value between two steps goes."""

    STOCHASTIC = "stochastic"
    """Up as often as it is near the upper one: right in the mean."""
    NEAREST = "nearest"
    """To the nearer one: what is below half a step is lost, in every round."""


@dataclass(frozen=True, slots=True)
class Int8(GroupedForm):
    """The update less its base in 8 bits, with a scale for each block of values: a quarter of the bytes of float32.

    In a block of differences d the scale is s = max |d| / 127, and what travels is q = d / s, rounded. Stochastic rounding takes
    floor(d / s + u), u uniform in [0, 1): off by less than s, but d in the mean, so that the errors of many learners cancel.
    Rounding to nearest is off by at most s / 2, and drops what is always small unless it is held back.

    Attributes:
        block: values that share a scale, a power of two from 16 to 131,072: the fewer, the finer and the more bytes.
        rounding: "stochastic" or "nearest".
        error_feedback: a learner holds back what rounding left out, and adds it to its next update.

    Source: Alistarh et al., QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding, NeurIPS 2017, section 3.1,
    arXiv:1610.02132, whose norm is the greatest value here; a scale for each block as in Dettmers et al., 8-bit Optimizers via
    Block-wise Quantization, ICLR 2022, section 2.1, arXiv:2110.02861, with steps that are all alike.
    """

    needs_base: ClassVar[bool] = True

    block: int = 1024
    rounding: Rounding = Rounding.STOCHASTIC
    error_feedback: bool = False

    def __post_init__(self) -> None:
        if not BLOCK_MIN <= self.block <= BLOCK or self.block & (self.block - 1):
            raise ConfigError(f"int8: block = {self.block} is no power of two from {BLOCK_MIN} to {BLOCK:,}")

    @property
    @override
    def holds_back(self) -> bool:
        return self.error_feedback

    @override
    def packs(self, dtype: str) -> bool:
        return True

    @override
    def specs(self, group: Group) -> list[Spec]:
        steps, scales = _names(group)
        return [(steps, "int8", (group.size,)), (scales, "float32", (-(-group.size // self.block),))]

    @override
    def encode(self, source: Source, packed: Weights, rng: np.random.Generator) -> None:
        steps, scales = (packed[name] for name in _names(source.group))
        for block in source.group.blocks():
            values = source.block(block)
            size = values.size
            if size % self.block:
                values = np.concatenate([values, np.zeros(-size % self.block, values.dtype)])
            rows = values.reshape(-1, self.block)
            scale = scales[block.start // self.block :][: len(rows)]
            np.copyto(scale, np.maximum(rows.max(axis=1), -rows.min(axis=1)) / LEVELS, casting="unsafe")
            scale[scale < np.finfo(np.float32).tiny] = 0  # its inverse would be infinite; such values are as good as none
            np.multiply(rows, np.where(scale == 0, 0, 1 / scale)[:, None], out=rows)
            self._round(rows, rng)
            np.copyto(steps[block], values[:size], casting="unsafe")

    def _round(self, rows: Floats, rng: np.random.Generator) -> None:
        if self.rounding is Rounding.STOCHASTIC:
            np.add(rows, rng.random(rows.shape, np.float32), out=rows)
            np.floor(rows, out=rows)
        else:
            np.rint(rows, out=rows)
        np.clip(rows, -LEVELS, LEVELS, out=rows)

    @override
    def decode(self, group: Group, packed: Weights, block: slice) -> Floats:
        steps, scales = (packed[name] for name in _names(group))
        values: Floats = steps[block].astype(group.working)
        whole, first = values.size // self.block, block.start // self.block
        rows = values[: whole * self.block].reshape(whole, self.block)
        np.multiply(rows, scales[first : first + whole, None], out=rows)
        values[whole * self.block :] *= scales[first + whole : first + whole + 1]
        return values

    @override
    def wild(self, group: Group, packed: Weights) -> int | None:
        place = first_beyond(packed[_names(group)[1]], group.difference_max / (LEVELS + 1))
        return None if place is None else place * self.block


def _names(group: Group) -> tuple[str, str]:
    return f"{group.dtype} as int8", f"{group.dtype} as int8 scales"
