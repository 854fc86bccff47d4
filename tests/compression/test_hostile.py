"""What a peer may send in place of a packed update, and how it is found out before anything is unpacked."""

import numpy as np
import pytest

from fedactors.actors.expected import Expected
from fedactors.compression.bf16 import Bf16
from fedactors.compression.int8 import Int8
from fedactors.compression.top_k import TopK
from fedactors.model import Layout

LAYOUT = Layout.from_specs([("conv", "float32", (4, 5)), ("bias", "float32", (20,)), ("steps", "int64", ())])
BASE = np.zeros(LAYOUT.nbytes, np.uint8)


def refused(form, **spoilt):
    """The refusal of an update of zeros with some of what travels replaced, or None; keys are words of the tensors' names."""
    packed = form.pack(BASE, BASE, LAYOUT, 7)
    views = form.layout(LAYOUT).views(packed)
    for words, values in spoilt.items():
        name = next(name for name in views if name.endswith(words))
        views[name][...] = values
    expected = Expected(LAYOUT, form, form.layout(LAYOUT))
    refusal = expected.refusal(packed, refuse_not_finite=True)
    return None if refusal is None else (str(refusal.reason), str(refusal))


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([0, 1, 2, 40], "place 40 of 40 float32 values does not exist"),
        ([0, 1, 2, 2**32 - 1], "place 4,294,967,295 of 40 float32 values does not exist"),
        ([3, 2, 1, 0], "place 2 of the float32 values comes after place 3; places ascend"),
        ([5, 5, 6, 7], "place 5 of the float32 values comes after place 5; places ascend"),
        ([0, 2**32 - 1, 1, 2], "place 1 of the float32 values comes after place 4,294,967,295; places ascend"),
    ],
)
def test_places_that_are_none_are_refused(places, said):
    assert refused(TopK(0.1), places=places) == ("form", said)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_differences_that_lead_nowhere_are_refused_with_their_tensor(value):
    said = ("not_finite", "tensor 'bias' holds NaN or an infinity")
    assert refused(TopK(0.1), places=[1, 2, 30, 31], differences=[1, 1, 1, value]) == said
    assert refused(Bf16(), difference=[1] * 39 + [value]) == said


@pytest.mark.parametrize("scale", [np.nan, np.inf, -np.inf, 3e38, -2e36])
def test_scales_that_lead_nowhere_are_refused_with_their_tensor(scale):
    assert refused(Int8(block=16), scales=[1, scale, 1]) == ("not_finite", "tensor 'conv' holds NaN or an infinity")


def test_what_is_well_formed_is_let_pass_and_comes_out_finite():
    form = Int8(block=16)
    assert refused(form, scales=1e36) is None
    packed = form.pack(BASE, BASE, LAYOUT, 7)
    views = form.layout(LAYOUT).views(packed)
    views["float32 as int8"][...], views["float32 as int8 scales"][...] = -128, 1e36
    out, high = np.zeros(LAYOUT.nbytes, np.uint8), LAYOUT.pack({**LAYOUT.views(BASE.copy()), "bias": np.full(20, -1e38, "f4")})
    form.unpack(packed, high, LAYOUT, out)
    assert LAYOUT.first_not_finite(out) is None


def test_without_refuse_not_finite_only_what_cannot_be_unpacked_is_refused():
    form = TopK(0.1)
    packed = form.pack(BASE, BASE, LAYOUT, 7)
    views = form.layout(LAYOUT).views(packed)
    expected = Expected(LAYOUT, form, form.layout(LAYOUT))
    views["float32 top k differences"][...] = np.nan
    assert expected.refusal(packed, refuse_not_finite=False) is None
    views["float32 top k places"][...] = 7
    assert expected.refusal(packed, refuse_not_finite=False) is not None
