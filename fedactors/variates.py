"""Control variates in a model: behind its tensors, one for each floating-point tensor NAME, under the name "scaffold/NAME".

    x    conv.weight, conv.bias, steps                         the learners' tensors
    c    scaffold/conv.weight, scaffold/conv.bias              of the same shapes; float32 where the tensor has 16 bits

In a global model they are c; in an update they are what the learner adds to its own, c_i. Whatever keeps or sends models keeps
and sends them, too; only users and their learners never see them.
"""

from __future__ import annotations

import numpy as np

from fedactors.errors import ModelError
from fedactors.model import DTYPES, Array, GlobalModel, Layout, Weights, is_floating

PREFIX = "scaffold/"
"""Of a variate's name; what follows is its tensor's."""


def with_variates(weights: Weights) -> Weights:
    """A model's tensors, and behind them a variate of zeros for each that is of floating point.

    Raises:
        ModelError: a tensor has a variate's name.
    """
    taken = next((name for name in weights if name.startswith(PREFIX)), None)
    if taken is not None:
        raise ModelError(f"tensor {taken!r} has a name that begins with {PREFIX!r}, as control variates do; name it otherwise")
    specs = _variates(Layout.of(weights))
    return {**weights, **{name: np.zeros(shape, DTYPES[dtype]) for name, dtype, shape in specs}}


def parted(weights: Weights) -> tuple[dict[str, Array], dict[str, Array]]:
    """The tensors of a model, and its variates by their tensors' names."""
    plain = {name: array for name, array in weights.items() if not name.startswith(PREFIX)}
    return plain, {name.removeprefix(PREFIX): array for name, array in weights.items() if name.startswith(PREFIX)}


def plain_layout(layout: Layout) -> Layout:
    """The layout without variates: it has its tensors at the same places."""
    plain = Layout.from_specs([spec for spec in layout.specs if not spec[0].startswith(PREFIX)])
    return layout if len(plain.tensors) == len(layout.tensors) else plain


def plain_model(model: GlobalModel) -> GlobalModel:
    """The model without variates; a view of its buffer."""
    layout = plain_layout(model.layout)
    return model if layout is model.layout else GlobalModel(model.version, layout, model.buffer[: layout.nbytes])


def has_variates(layout: Layout) -> bool:
    """Whether exactly those variates stand behind the tensors that `with_variates` puts there."""
    plain = plain_layout(layout)
    return layout.specs == [*plain.specs, *_variates(plain)]


def _variates(plain: Layout) -> list[tuple[str, str, tuple[int, ...]]]:
    wide = {name: name if dtype.itemsize >= 4 else "float32" for name, dtype in DTYPES.items() if is_floating(name)}
    return [(PREFIX + name, wide[dtype], shape) for name, dtype, shape in plain.specs if dtype in wide]
