"""Compiled kernels, where they are at hand: the bits of numpy, in one pass over memory.

`load` puts them at hand, and whoever owns threads calls it beside the work (`fedactors.actors.compiling`); what is summed before,
or without numba, is summed by numpy. Since the bits are the same, a sum may begin by one and end by the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Protocol

import numpy as np

from fedactors.model import Array

EXTRA = "fast"
"""Installs numba."""

kernels: ModuleType | None = None
"""`_fused`, once it is compiled."""


def load() -> bool:
    """Put the kernels at hand, which takes a second, and ten where nothing was compiled before; whether numba is installed.

    Raises:
        Exception: numba cannot compile them; numpy goes on.
    """
    global kernels
    try:
        from fedactors.aggregation import _fused
    except ModuleNotFoundError as missing:
        if missing.name != "numba":
            raise
        return False
    kernels = _fused
    return True


def names() -> str:
    """Whose kernels are at work: numpy or numba."""
    return "numpy" if kernels is None else "numba"


class Block(Protocol):
    """A stretch of buffers of one dtype."""

    @property
    def dtype(self) -> str:
        """Of all of it."""

    @property
    def start(self) -> int:
        """Its first byte."""


class Term(Protocol):
    """What is added."""

    @property
    def factor(self) -> float:
        """What it is multiplied by."""

    @property
    def address(self) -> int:
        """Of a buffer of the layout that blocks are cut from."""

    @property
    def base_address(self) -> int | None:
        """Of what is subtracted from it first."""


def add(total: Array, block: Block, terms: Sequence[Term], *, fresh: bool) -> bool:
    """Add factor * (buffer - base) of each term to total, one after the other; False, and nothing done, where no kernel does it.

    Args:
        total: float32 or float64[block.size].
        block: of the terms' buffers, which stay alive meanwhile.
        terms: to be added.
        fresh: what total holds does not count.
    """
    if kernels is None:
        return False
    rows = [term.address + block.start for term in terms]
    bases = [term.base_address + block.start for term in terms if term.base_address is not None]
    factors = np.array([term.factor for term in terms], total.dtype)
    if not bases and block.dtype in kernels.ADDING:
        kernels.ADDING[block.dtype](total, np.array(rows, np.uintp), factors, fresh)
    elif len(bases) == len(rows) and block.dtype == "float32":
        kernels.add_differences(total, np.array(rows, np.uintp), np.array(bases, np.uintp), factors, fresh)
    else:
        return False
    return True


class Modulus(Protocol):
    """What residues are counted by; see `_residues.Residues`."""

    @property
    def most(self) -> int:
        """Summands whose sum cannot overflow."""

    @property
    def multiples(self) -> Array:
        """What is subtracted from a sum of so many, where it is not below that."""


def add_residues(out: Array, rows: Sequence[Array], summands: int, modulus: Modulus, *, fresh: bool, last: bool) -> bool:
    """Write the sum of rows of words; False, and nothing done, where no kernel does it.

    Args:
        out: uint32 or uint64[n].
        rows: like it.
        summands: of the first row, which is a sum itself.
        modulus: that words are below.
        fresh: the first row is not `out` itself.
        last: the sum is wanted modulo q.
    """
    if kernels is None:
        return False
    addresses = np.array([address(row) for row in rows[not fresh :]], np.uintp)
    kernels.RESIDUES[out.itemsize](out, addresses, summands, fresh, modulus.most, modulus.multiples, last)
    return True


def add_middle(total: Array, rows: Sequence[Array], pairs: Array, trim: int) -> bool:
    """Write the sum of each column's values but the `trim` least and greatest; False, and nothing done, where no kernel does it.

    Args:
        total: like a row.
        rows: [n] each.
        pairs: of lines that a sorting network compares, intp[comparators, 2].
        trim: values that are left out at either end.
    """
    if kernels is None or rows[0].dtype != np.float32:
        return False
    lines = np.empty((len(rows), kernels.COLUMNS), np.float32)
    kernels.add_middle(total, np.array([address(row) for row in rows], np.uintp), pairs, trim, lines)
    return True


def address(array: Array) -> int:
    """Where an array without gaps begins, for a kernel that is called while it is alive."""
    assert array.flags.c_contiguous
    return int(array.__array_interface__["data"][0])
