"""Tables on a terminal of 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence

WIDTH = 100
LAST_WIDTH_MIN = 30
CELL_CHARS_MAX = 44
GAP = "  "
_NO_BREAK = "\u00a0"


def in_columns(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str] = ()) -> str:
    """Rows below their heads.

    A long text in the last column goes on in the next line; in another one its beginning is left out.

    Args:
        heads: of the columns.
        rows: a text for each head.
        numbers: heads of the columns that stand to the right.
    """
    cells = [tuple(heads), *([*map(_ending, row[:-1]), row[-1]] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)][:-1]
    right = [head in numbers for head in heads]
    indent = sum(widths) + len(GAP) * len(widths)
    lines = []
    for *before, last in cells:
        placed = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(before, widths, right[:-1], strict=True)]
        texts = textwrap.wrap(last, max(WIDTH - indent, LAST_WIDTH_MIN), break_on_hyphens=False) or [""]
        lines += [GAP.join([*placed, texts[0]]).rstrip(), *(" " * indent + text for text in texts[1:])]
    return "\n".join(lines).replace(_NO_BREAK, " ")


def unbroken(text: str) -> str:
    """A text that goes on in the next line only where two blanks stand in it."""
    return GAP.join(part.replace(" ", _NO_BREAK) for part in text.split(GAP))


def _ending(text: str) -> str:
    return text if len(text) <= CELL_CHARS_MAX else "…" + text[1 - CELL_CHARS_MAX :]
