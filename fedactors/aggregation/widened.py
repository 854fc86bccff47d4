"""A model whose 16-bit tensors are float32, for rules that work on what a 16-bit sum would round away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fedactors.aggregation.base import Contribution
from fedactors.model import DTYPES, Buffer, Layout, is_floating


class Widened:
    """A layout and its wide counterpart; one and the same, and nothing is copied, where no tensor has 16 bits.

    Attributes:
        layout: the wide one.
        copies: whether they differ.
    """

    def __init__(self, layout: Layout, *, keeps: bool) -> None:
        """Widen a layout; `keeps`: a contribution's buffer stays in use after the next contribution."""
        self._narrow = layout
        self._keeps = keeps
        self._scratch: Buffer | None = None
        self.layout = layout
        self.copies = any(_is_narrow(tensor.dtype) for tensor in layout.tensors)
        if self.copies:
            specs = [(t.name, "float32" if _is_narrow(t.dtype) else t.dtype, t.shape) for t in layout.tensors]
            self.layout = Layout.from_specs(specs)

    def contribution(self, contribution: Contribution) -> Contribution:
        """A contribution in the wide layout."""
        if not self.copies:
            return contribution
        if self._scratch is None or self._keeps:
            self._scratch = np.zeros(self.layout.nbytes, np.uint8)
        _copy(self._narrow, contribution.buffer, self.layout, self._scratch)
        base = None if contribution.base is None else self.buffer(contribution.base)
        return replace(contribution, buffer=self._scratch, base=base)

    def buffer(self, buffer: Buffer) -> Buffer:
        """A buffer in the wide layout: a new one, or the same where there is nothing to widen."""
        return self._new(self._narrow, buffer, self.layout)

    def narrowed(self, buffer: Buffer) -> Buffer:
        """A wide buffer in the layout that was widened; rounded to nearest, half to even."""
        return self._new(self.layout, buffer, self._narrow)

    def _new(self, layout: Layout, buffer: Buffer, to: Layout) -> Buffer:
        if not self.copies:
            return buffer
        out = np.zeros(to.nbytes, np.uint8)
        _copy(layout, buffer, to, out)
        return out


def _is_narrow(dtype: str) -> bool:
    return is_floating(dtype) and DTYPES[dtype].itemsize < 4


def _copy(layout: Layout, buffer: Buffer, to: Layout, out: Buffer) -> None:
    views, wanted = layout.views(buffer), to.views(out)
    with np.errstate(all="ignore"):
        for name, view in wanted.items():
            np.copyto(view, views[name], casting="unsafe")
