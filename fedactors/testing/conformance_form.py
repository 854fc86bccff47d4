"""What every form of updates owes both sides, checked on a form of yours.

def test_my_form_conforms():
    check_form(MyForm(fraction=0.5))
"""

from __future__ import annotations

from dataclasses import fields

import msgpack
import numpy as np

from fedactors.form import Form
from fedactors.model import DTYPES, Array, Buffer, Layout, is_floating

SEED = 7
LAYOUT = Layout.from_specs([(f"{dtype}.{size}", dtype, (size,)) for size in (1, 0, 700) for dtype in DTYPES])
STRANGERS = 50
"""Buffers of arbitrary bytes that are tried."""


def check_form(form: Form, *, error_max: float = 1.0) -> None:
    """Pack, unpack, hold back, and look at what nobody ever packed.

    Args:
        form: one that is unpacked (`Form.opens`).
        error_max: how far off what was unpacked may be, as a share of what training changed, both root mean squares.

    Raises:
        AssertionError: it does not do what a form owes; the message says what.
    """
    assert form.opens, "a form that the rule itself folds is checked with that rule"
    rng = np.random.default_rng(SEED)
    base = _drawn(rng)
    update = _moved(base, rng)
    packed = _packs_the_same_bits(form, update, base)
    _comes_out_near(form, packed, update, base, error_max)
    _keeps_the_rest(form, packed, update, base)
    _finds_what_is_not_finite(form, update, base)
    _bears_any_bytes(form, base, rng)
    _holds_back_what_it_leaves_out(form, update, base)
    _travels(form)


def _packs_the_same_bits(form: Form, update: Buffer, base: Buffer) -> Buffer:
    before = update.tobytes(), base.tobytes()
    packed, again = (form.pack(update, base, LAYOUT, SEED) for _ in range(2))
    assert packed.nbytes == form.layout(LAYOUT).nbytes, "what is packed is not of the form's layout"
    assert packed.tobytes() == again.tobytes(), "the same update and the same seed gave other bits"
    assert before == (update.tobytes(), base.tobytes()), "pack() wrote to what it was given"
    assert form.problem(packed, LAYOUT) is None, f"problem() of what was packed: {form.problem(packed, LAYOUT)}"
    assert form.first_not_finite(packed, LAYOUT) is None, "what was packed from finite weights is not finite"
    return packed


def _comes_out_near(form: Form, packed: Buffer, update: Buffer, base: Buffer, error_max: float) -> None:
    found, wanted, began = (_floats(buffer) for buffer in (_unpacked(form, packed, base), update, base))
    for name, values in wanted.items():
        error, moved = (float(np.sqrt(np.mean(np.square(one)))) for one in (found[name] - values, values - began[name]))
        assert error <= error_max * moved, f"{name} is off by {error:.2g}, and training changed {moved:.2g}"


def _keeps_the_rest(form: Form, packed: Buffer, update: Buffer, base: Buffer) -> None:
    found, wanted = (LAYOUT.views(buffer) for buffer in (_unpacked(form, packed, base), update))
    for tensor in LAYOUT.tensors:
        if not is_floating(tensor.dtype):
            assert np.array_equal(found[tensor.name], wanted[tensor.name]), f"{tensor} did not come out as it was"


def _finds_what_is_not_finite(form: Form, update: Buffer, base: Buffer) -> None:
    for tensor in LAYOUT.tensors:
        if is_floating(tensor.dtype) and tensor.size:
            for value in (np.nan, np.inf):
                broken = update.copy()
                LAYOUT.views(broken)[tensor.name][-1] = value
                found = form.first_not_finite(form.pack(broken, base, LAYOUT, SEED), LAYOUT)
                assert found is not None, f"{tensor} held {value}, and first_not_finite() did not find it"


def _bears_any_bytes(form: Form, base: Buffer, rng: np.random.Generator) -> None:
    """What is no problem can be unpacked; what is said to be finite comes out so."""
    nbytes = form.layout(LAYOUT).nbytes
    for _ in range(STRANGERS):
        stranger = rng.integers(0, 256, nbytes, np.uint8)
        if form.problem(stranger, LAYOUT) is None:
            out = _unpacked(form, stranger, base)
            if form.first_not_finite(stranger, LAYOUT) is None:
                assert LAYOUT.first_not_finite(out) is None, "what first_not_finite() let pass came out NaN or infinite"


def _holds_back_what_it_leaves_out(form: Form, update: Buffer, base: Buffer) -> None:
    residual = form.nothing_held_back(LAYOUT)
    if residual is None:
        return
    assert not any(array.any() for array in residual.values()), "somebody who has sent nothing holds something back"
    packed = form.pack_with(update, base, LAYOUT, SEED, residual)
    moved, left = _moved_by(update, base), _sum(residual)
    came = _moved_by(_unpacked(form, packed, base), base)
    assert abs(came + left - moved) <= 1e-2 * max(1.0, abs(moved)), "what travelled and what is held back are not the whole"
    form.give_back(packed, LAYOUT, residual)
    assert abs(_sum(residual) - moved) <= 1e-2 * max(1.0, abs(moved)), "what was given back is not what had travelled"


def _travels(form: Form) -> None:
    """The controller tells learners of a form by its options."""
    options = {field.name: getattr(form, field.name) for field in fields(form)}  # type: ignore[arg-type]  # it owes to be one
    told = msgpack.unpackb(msgpack.packb(options))
    assert type(form)(**told).layout(LAYOUT) == form.layout(LAYOUT), "a form made of the same options has another layout"


def _drawn(rng: np.random.Generator) -> Buffer:
    buffer = np.full(LAYOUT.nbytes, 0xFF, np.uint8)  # padding may hold anything, NaN too
    for tensor in LAYOUT.tensors:
        LAYOUT.views(buffer)[tensor.name][...] = _values(tensor.dtype, tensor.size, rng)
    return buffer


def _values(dtype: str, size: int, rng: np.random.Generator) -> Array:
    return rng.standard_normal(size) if is_floating(dtype) else rng.integers(0, 2, size)


def _moved(base: Buffer, rng: np.random.Generator) -> Buffer:
    """Weights some time later: each has moved by about a quarter of its size."""
    update = base.copy()
    for tensor in LAYOUT.tensors:
        view = LAYOUT.views(update)[tensor.name]
        view[...] = (view + 0.25 * rng.standard_normal(tensor.size)) if is_floating(tensor.dtype) else view ^ view.dtype.type(1)
    return update


def _unpacked(form: Form, packed: Buffer, base: Buffer) -> Buffer:
    out = np.full(LAYOUT.nbytes, 0xEE, np.uint8)
    form.unpack(packed, base, LAYOUT, out)
    return out


def _floats(buffer: Buffer) -> dict[str, Array]:
    views = LAYOUT.views(buffer)
    return {t.name: views[t.name].astype(np.float64) for t in LAYOUT.tensors if is_floating(t.dtype) and t.size > 1}


def _moved_by(update: Buffer, base: Buffer) -> float:
    return _all(update) - _all(base)


def _all(buffer: Buffer) -> float:
    views = LAYOUT.views(buffer)
    return float(sum(views[t.name].astype(np.float64).sum() for t in LAYOUT.tensors if is_floating(t.dtype)))


def _sum(residual: dict[str, Array]) -> float:
    return float(sum(array.astype(np.float64).sum() for array in residual.values()))
