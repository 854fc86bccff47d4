"""What `_kernels`, `_residues` and `_order` do with numpy, each in one pass over memory: machine code, by numba.

Importing this module compiles, or finds on disk what an earlier process compiled: see `_compiled`, which nobody goes past.

Rows are given as addresses, so that one kernel takes any number of them, and the caller keeps them alive. Work goes tile by tile:
a tile's sum stays in the nearest cache while one row after another is read. Operations, their order and their rounding are
numpy's (numba without fastmath contracts nothing), so the bits are; but for the payload of a NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

TILE = 2048
"""Elements whose sum is worked on: 8 or 16 KiB."""

COLUMNS = 512
"""Of a tile that is sorted: ten rows of it stay in the nearest cache, fifty in the next."""

F = TypeVar("F", bound=Callable[..., Any])


def compiled(signature: str) -> Callable[[F], F]:
    """A kernel that holds no interpreter's lock; kept on disk where there is a place for it."""

    def compile_(function: F) -> F:
        try:
            kernel: F = njit(signature, nogil=True, cache=True)(function)
        except RuntimeError:  # neither beside the module, nor in the user's cache, nor in NUMBA_CACHE_DIR can be written
            kernel = njit(signature, nogil=True)(function)
        return kernel

    return compile_


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _pointer(_context: Any, address: Any) -> Any:  # noqa: ARG001  # numba hands in their types
    """An address as what `carray` takes."""

    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.uintp), code


@njit  # type: ignore[untyped-decorator]  # numba has no types
def _row(address: Any, start: Any, like: Any) -> Any:
    """As many elements of a row, from this one on, as another array has."""
    return carray(_pointer(address + np.uintp(start * like.itemsize)), (like.size,), like.dtype)


def _add_weighted(total: Any, rows: Any, factors: Any, fresh: bool) -> None:
    """Add factor * row of each row; four rows a pass over the tile, one after the other in each element."""
    for start in range(0, total.size, TILE):
        tile = total[start : start + TILE]
        done = 0
        if fresh:
            a, f = _row(rows[0], start, tile), factors[0]
            for at in range(tile.size):
                tile[at] = a[at] * f
            done = 1
        while done + 4 <= rows.size:
            a, f = _row(rows[done], start, tile), factors[done]
            b, g = _row(rows[done + 1], start, tile), factors[done + 1]
            c, h = _row(rows[done + 2], start, tile), factors[done + 2]
            d, i = _row(rows[done + 3], start, tile), factors[done + 3]
            for at in range(tile.size):
                tile[at] = tile[at] + a[at] * f + b[at] * g + c[at] * h + d[at] * i
            done += 4
        while done < rows.size:
            a, f = _row(rows[done], start, tile), factors[done]
            for at in range(tile.size):
                tile[at] += a[at] * f
            done += 1


@compiled("void(float32[::1], uintp[::1], float32[::1], boolean)")
def add_bfloat16(total: Any, rows: Any, factors: Any, fresh: bool) -> None:
    """As float32, of rows whose elements are the upper halves of float32."""
    for start in range(0, total.size, TILE):
        tile = total[start : start + TILE]
        for k in range(rows.size):
            row = carray(_pointer(rows[k] + np.uintp(2 * start)), (tile.size,), np.uint16)
            factor = factors[k]
            if fresh and k == 0:
                for at in range(tile.size):
                    tile[at] = np.uint32(row[at] << 16).view(np.float32) * factor
            else:
                for at in range(tile.size):
                    tile[at] += np.uint32(row[at] << 16).view(np.float32) * factor


ADDING = {
    "float32": compiled("void(float32[::1], uintp[::1], float32[::1], boolean)")(_add_weighted),
    "float64": compiled("void(float64[::1], uintp[::1], float64[::1], boolean)")(_add_weighted),
    "bfloat16": add_bfloat16,
}
"""What adds rows of a dtype."""


@compiled("void(float32[::1], uintp[::1], uintp[::1], float32[::1], boolean)")
def add_differences(total: Any, rows: Any, bases: Any, factors: Any, fresh: bool) -> None:
    """Add factor * (row - base) of each row and its base, float32."""
    for start in range(0, total.size, TILE):
        tile = total[start : start + TILE]
        for k in range(rows.size):
            row, base, factor = _row(rows[k], start, tile), _row(bases[k], start, tile), factors[k]
            if fresh and k == 0:
                for at in range(tile.size):
                    tile[at] = (row[at] - base[at]) * factor
            else:
                for at in range(tile.size):
                    tile[at] += (row[at] - base[at]) * factor


@njit  # type: ignore[untyped-decorator]  # numba has no types
def _reduce(tile: Any, multiples: Any) -> None:
    for k in range(multiples.size):
        multiple = multiples[k]
        for at in range(tile.size):
            tile[at] = min(tile[at], tile[at] - multiple)


def _add_residues(out: Any, rows: Any, summands: int, fresh: bool, most: int, multiples: Any, last: bool) -> None:
    """See `_compiled.add_residues`; four rows a pass over the tile where a word takes them."""
    for start in range(0, out.size, TILE):
        tile = out[start : start + TILE]
        done, held = 0, summands
        if fresh:
            tile[:] = 0
            held -= 1
        while done < rows.size:
            if held == most:
                _reduce(tile, multiples)
                held = 1
            a = _row(rows[done], start, tile)
            if done + 4 <= rows.size and held + 4 <= most:
                b, c, d = _row(rows[done + 1], start, tile), _row(rows[done + 2], start, tile), _row(rows[done + 3], start, tile)
                for at in range(tile.size):
                    tile[at] += a[at] + b[at] + c[at] + d[at]
                done, held = done + 4, held + 4
            else:
                for at in range(tile.size):
                    tile[at] += a[at]
                done, held = done + 1, held + 1
        if last:
            _reduce(tile, multiples)


RESIDUES = {
    nbytes: compiled(f"void({word}[::1], uintp[::1], intp, boolean, intp, {word}[::1], boolean)")(_add_residues)
    for nbytes, word in ((4, "uint32"), (8, "uint64"))
}
"""What adds rows of words of so many bytes."""


@compiled("void(float32[::1], uintp[::1], intp[:, ::1], intp, float32[:, ::1])")
def add_middle(total: Any, rows: Any, pairs: Any, trim: int, lines: Any) -> None:
    """The sum of each column's middle values, in the order of the lines that a sorting network leaves them on.

    Args:
        total: float32[n].
        rows: addresses of float32[n].
        pairs: of lines, [comparators, 2]: the first gets the lesser.
        trim: lines that are left out at either end.
        lines: to work on, float32[rows, COLUMNS].
    """
    for start in range(0, total.size, COLUMNS):
        tile = total[start : start + COLUMNS]
        for k in range(rows.size):
            row, line = _row(rows[k], start, tile), lines[k]
            for at in range(tile.size):
                line[at] = row[at]
        for k in range(len(pairs)):
            one, other = lines[pairs[k, 0]], lines[pairs[k, 1]]
            for at in range(tile.size):
                a, b = one[at], other[at]
                low, high = a if a < b else b, a if a > b else b  # noqa: FURB136  # one instruction each, which min is not
                one[at] = low if a == a else a  # NaN is both the least and the greatest, as in numpy
                other[at] = high if a == a else a
        line = lines[trim]
        for at in range(tile.size):
            tile[at] = line[at]
        for k in range(trim + 1, rows.size - trim):
            line = lines[k]
            for at in range(tile.size):
                tile[at] += line[at]
