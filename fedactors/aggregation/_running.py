"""A sum that is added to and subtracted from for as long as a federation runs, in float64."""

from __future__ import annotations

import numpy as np

from fedactors.aggregation._kernels import BLOCK, add_scaled, values, write_mean
from fedactors.model import DTYPES, Buffer, Layout


class RunningSum:
    """sum p_i w_i over buffers of one layout, every run in float64.

    A float32 model takes 8 bytes a parameter here. 10,000 additions and subtractions of terms of one magnitude leave an error of
    1e-12 of that magnitude.
    """

    def __init__(self, layout: Layout) -> None:
        self._runs = [(dtype, start, end) for dtype, start, end in layout.runs() if start < end]
        self._sums = [np.zeros((end - start) // DTYPES[dtype].itemsize) for dtype, start, end in self._runs]
        self._tmp = np.empty(min(BLOCK, max((total.size for total in self._sums), default=0)))

    def add(self, buffer: Buffer, factor: float) -> None:
        """Add factor * buffer; a factor below 0 subtracts what was added before."""
        with np.errstate(all="ignore"):
            for (dtype, start, end), total in zip(self._runs, self._sums, strict=True):
                terms = values(buffer, dtype, start, end)
                add_scaled(total, terms != 0 if dtype == "bool" else terms, factor, self._tmp, fresh=False)

    def mean(self, out: Buffer, factors: float) -> None:
        """Write sum / factors into `out`, in each run's own dtype; its padding is not cleaned."""
        with np.errstate(all="ignore"):
            for (dtype, start, end), total in zip(self._runs, self._sums, strict=True):
                write_mean(values(out, dtype, start, end), total, factors, self._tmp, dtype)

    def clear(self) -> None:
        """Begin again."""
        for total in self._sums:
            total[:] = 0.0
