"""A model's tensors as one flat row of float64, and back. Pure; ciphertexts know nothing of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fedactors.errors import ModelError
from fedactors.model import DTYPES, Array, Buffer, Layout, Weights, is_floating

Values = npt.NDArray[np.float64]


def flattened(layout: Layout, weights: Weights, out: Values, value_max: float) -> None:
    """Write every tensor into `out`, one behind the other, and zeros behind the last.

    Args:
        layout: of the weights.
        weights: fit the layout.
        out: float64[at least layout.num_parameters].
        value_max: the greatest |value| that can be sealed.

    Raises:
        ModelError: a value is not finite or too great; the message names its tensor.
    """
    at = 0
    for tensor in layout.tensors:
        part = out[at : at + tensor.size]
        np.copyto(part, np.asarray(weights[tensor.name]).reshape(-1), casting="unsafe")
        if tensor.size:
            _check(tensor.name, part, value_max)
        at += tensor.size
    out[at:] = 0.0


def _check(name: str, part: Values, value_max: float) -> None:
    greatest = max(-float(np.min(part)), float(np.max(part)))
    if not np.isfinite(greatest):
        raise ModelError(f"tensor {name!r} holds NaN or an infinity, which cannot be sealed")
    if greatest > value_max:
        said = f"tensor {name!r} holds a value of magnitude {greatest:g}, and CKKS seals up to {value_max:g} with this preset"
        raise ModelError(f"{said}: name it in model.local, or use the preset 'precise'")


def unflattened(layout: Layout, values: Values) -> Buffer:
    """The tensors of a flat row of means, each in its own dtype: a new buffer.

    Integers are rounded once, half to even, and bools are True where more than half of the share says so.
    """
    buffer = np.zeros(layout.nbytes, np.uint8)
    at = 0
    for tensor, view in zip(layout.tensors, layout.views(buffer).values(), strict=True):
        _write(view, values[at : at + tensor.size].reshape(tensor.shape), tensor.dtype)
        at += tensor.size
    return buffer


def _write(view: Array, mean: Values, dtype: str) -> None:
    if dtype == "bool":
        np.greater(mean, 0.5, out=view)
    elif is_floating(dtype):
        with np.errstate(over="ignore"):
            np.copyto(view, mean, casting="unsafe")
    else:
        info: Any = np.iinfo(DTYPES[dtype])
        greatest = float(info.max) if int(float(info.max)) <= info.max else np.nextafter(float(info.max), 0.0)
        np.copyto(view, np.clip(np.rint(mean), info.min, greatest), casting="unsafe")
