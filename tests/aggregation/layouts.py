"""Random layouts and weights for the oracles, and the rules at work on them."""

import numpy as np
from hypothesis import strategies as st

from fedactors.aggregation import Contribution
from fedactors.model import DTYPES, GlobalModel, Layout, is_floating
from fedactors.task import TrainReport

ROUNDING = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24, "float64": 0.0}
"""Half a unit in the last place of the result, relative; what the dtype adds to the sum's own error."""

layouts = st.lists(st.tuples(st.sampled_from(list(DTYPES)), st.lists(st.integers(0, 4), max_size=3)), min_size=1, max_size=6).map(
    lambda specs: Layout.from_specs([(f"t{index}", dtype, tuple(shape)) for index, (dtype, shape) in enumerate(specs)])
)

EVERY_DTYPE = Layout.from_specs([(f"{dtype}.{n}", dtype, (n,)) for n in (1, 300) for dtype in DTYPES])


def drawn(layout, rng, spread=100):
    """Floats of normal size; integers of 0 to `spread`; bools."""
    buffer = np.zeros(layout.nbytes, np.uint8)
    for tensor in layout.tensors:
        view = layout.views(buffer)[tensor.name]
        if is_floating(tensor.dtype):
            view[...] = rng.standard_normal(tensor.shape)
        else:
            view[...] = rng.integers(0, 2 if tensor.dtype == "bool" else spread, tensor.shape)
    return buffer


def sent(layout, rng):
    """As `drawn`; its padding holds what a peer may have left there, which is nobody's value."""
    buffer = np.full(layout.nbytes, 0xFF, np.uint8)
    for name, view in layout.views(drawn(layout, rng)).items():
        layout.views(buffer)[name][...] = view
    return buffer


def contributions(layout, rng, number, base):
    """Updates with factors, discounts and reports of all kinds, from one base."""
    return [
        Contribution(
            f"l{index:03}",
            sent(layout, rng),
            float(rng.integers(1, 1000)) / (1 + index % 3),
            staleness=index % 3,
            discount=1 / (1 + index % 3),
            report=TrainReport(num_examples=1, num_batches=int(rng.integers(1, 50))),
            base=base,
        )
        for index in range(number)
    ]


def exact(layout, buffer):
    """Every tensor in float64."""
    return {name: view.astype(np.float64) for name, view in layout.views(buffer).items()}


def committed(rule_or_fold, layout, updates, current):
    """One round; `current` is a buffer."""
    fold = rule_or_fold.fold(layout) if hasattr(rule_or_fold, "updates_min") else rule_or_fold
    for update in updates:
        fold.add(update)
    return fold.commit(GlobalModel(0, layout, current.copy()))


def agrees(layout, found, expected, size=4.0, relative=1e-6):
    """Floats to within `relative` of their `size` and their own rounding; integers to within a half."""
    views = exact(layout, found)
    for tensor in layout.tensors:
        value, wanted = views[tensor.name], expected[tensor.name]
        if is_floating(tensor.dtype):
            tolerance = relative * np.maximum(abs(wanted), size) + ROUNDING[tensor.dtype] * abs(wanted)
            assert (abs(value - wanted) <= tolerance).all(), (tensor, value, wanted)
        else:
            tolerance = 0.5 + max(1e-5, 100 * relative)
            assert (abs(value - clipped(tensor.dtype, wanted)) <= tolerance).all(), (tensor, value, wanted)


def rounded(layout, expected):
    """A buffer of what an oracle expects: integers to the nearest, half to even."""
    buffer = np.zeros(layout.nbytes, np.uint8)
    for tensor in layout.tensors:
        wanted = expected[tensor.name]
        exactly = wanted if is_floating(tensor.dtype) else clipped(tensor.dtype, np.rint(wanted))
        layout.views(buffer)[tensor.name][...] = exactly.astype(DTYPES[tensor.dtype])
    return buffer


def clipped(dtype, wanted):
    """As far as an integer dtype goes."""
    if dtype == "bool":
        return np.clip(wanted, 0, 1)
    return np.clip(wanted, float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))
