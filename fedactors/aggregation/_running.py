"""A sum that is added to and subtracted from for as long as a federation runs, in float64."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from fedactors.aggregation._kernels import BLOCK, Block, add_scaled, cut, write_mean
from fedactors.aggregation._scratch import Scratch
from fedactors.aggregation.lanes import share_out
from fedactors.model import Array, Buffer, Layout


class RunningSum:
    """sum p_i w_i over buffers of one layout, every run in float64.

    A float32 model takes 8 bytes a parameter here. 10,000 additions and subtractions of terms of one magnitude leave an error of
    1e-12 of that magnitude.

    Attributes:
        total: float64[elements], the sum, run by run.
    """

    def __init__(self, layout: Layout) -> None:
        blocks = cut(layout, BLOCK)
        self._elements = sum(block.size for block in blocks)
        self.total = np.zeros(self._elements)
        ends = accumulate(block.size for block in blocks)
        self._sums = [(block, self.total[end - block.size : end]) for block, end in zip(blocks, ends, strict=True)]
        self._scratch = Scratch(max((total.nbytes for _, total in self._sums), default=0))

    def add(self, buffer: Buffer, factor: float) -> None:
        """Add factor * buffer; a factor below 0 subtracts what was added before."""

        def work(part: tuple[Block, Array]) -> None:
            block, total = part
            with self._scratch.bench() as bench:
                add_scaled(total, block.terms(buffer), factor, bench.array(total.size, total.dtype), fresh=False)

        share_out(work, self._sums, self._elements)

    def mean(self, out: Buffer, factors: float) -> None:
        """Write sum / factors into `out`, in each run's own dtype; its padding is not cleaned."""

        def work(part: tuple[Block, Array]) -> None:
            block, total = part
            with self._scratch.bench() as bench:
                write_mean(block.of(out), total, factors, bench, block.dtype)

        share_out(work, self._sums, self._elements)

    def clear(self) -> None:
        """Begin again."""
        self.total[:] = 0.0
