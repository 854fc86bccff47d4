"""Sums modulo q of rows of words: exact, so the same bits in whatever order the rows come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedactors.aggregation import _compiled
from fedactors.aggregation._kernels import BLOCK, blocks
from fedactors.aggregation._scratch import Bench, Scratch
from fedactors.aggregation.lanes import share_out
from fedactors.model import Array

PIECE = 16_384
"""Words of a block that numpy works on together: their sum and a temporary stay in the nearest caches."""


@dataclass(frozen=True, slots=True)
class Residues:
    """Words below a modulus, and how many of them a word takes the sum of.

    Attributes:
        modulus: q.
        most: summands whose sum cannot overflow, >= 2.
        multiples: uint32 or uint64[k], 2^(k-1) q, ..., 2q, q, the dtype of the words.
    """

    modulus: int
    most: int
    multiples: Array

    @classmethod
    def below(cls, modulus: int, word: str) -> Residues:
        """Words of this dtype, below this modulus."""
        most = 2 ** (8 * np.dtype(word).itemsize) // modulus
        exponents = range((most - 1).bit_length() - 1, -1, -1)
        return cls(modulus, most, np.array([modulus << exponent for exponent in exponents], word))

    def after(self, summands: int) -> int:
        """Of how many words below q a sum of so many is, once it may be added to."""
        return 1 if summands == self.most else summands

    def reduced(self, total: Array, out: Array, tmp: Array) -> Array:
        """Sums of up to `most` words modulo q: of x and x - 2^k q, which wraps around where it is negative, the lesser."""
        for multiple in self.multiples:
            total = np.minimum(total, np.subtract(total, multiple, out=tmp), out=out)
        return total


class ResidueSum:
    """The sum of rows of words below q; reduced only where a word could overflow, and when it is taken."""

    def __init__(self, residues: Residues, size: int) -> None:
        """Of rows of so many words."""
        self._residues = residues
        self._blocks = list(blocks(size, BLOCK))
        self._scratch = Scratch(PIECE * residues.multiples.itemsize)
        self._total: Array | None = None
        self._summands = 0

    def add(self, rows: Sequence[Array]) -> None:
        """Add rows, in one pass over them."""
        if self._total is None:
            self._total = np.empty_like(rows[0])
        first, rows = max(self._summands, 1), self._begun(rows)
        self._sum(rows, first, self._total, last=False)
        for _ in rows[1:]:
            first = self._residues.after(first) + 1
        self._summands = first

    def take(self, rows: Sequence[Array], out: Array) -> None:
        """Write the sum of what was added and of these rows, modulo q; begin again."""
        self._sum(self._begun(rows), max(self._summands, 1), out, last=True)
        self.clear()

    def clear(self) -> None:
        """Begin again; the memory is kept for the next sum."""
        self._summands = 0

    def _begun(self, rows: Sequence[Array]) -> list[Array]:
        """What was added, if anything was, as the first of the rows."""
        return [self._total, *rows] if self._total is not None and self._summands else list(rows)

    def _sum(self, rows: list[Array], first: int, out: Array, *, last: bool) -> None:
        """Write the sum of the rows, of which the first is one of so many words; modulo q where it is the last."""

        def work(at: slice) -> None:
            parts, fresh = [row[at] for row in rows], rows[0] is not out
            if not _compiled.add_residues(out[at], parts, first, self._residues, fresh=fresh, last=last):
                for piece in blocks(len(parts[0]), PIECE):
                    with self._scratch.bench() as bench:
                        _add(out[at][piece], [part[piece] for part in parts], first, self._residues, bench, last=last)

        share_out(work, self._blocks, len(rows) * out.size)


def _add(out: Array, rows: Sequence[Array], summands: int, residues: Residues, bench: Bench, *, last: bool) -> None:
    """Write the sum of rows, of which the first is one of so many words."""
    total, tmp = rows[0], bench.array(out.size, out.dtype)
    for row in rows[1:]:
        if summands == residues.most:
            total = residues.reduced(total, out, tmp)
        summands = residues.after(summands) + 1
        total = np.add(total, row, out=out)
    if last:
        total = residues.reduced(total, out, tmp)
    if total is not out:
        np.copyto(out, total)
