"""What weights are taken as, before any memory is taken for them."""

from __future__ import annotations

from typing import ClassVar

import pytest

from fedactors.actors.expected import Expected
from fedactors.compression.bf16 import Bf16
from fedactors.errors import UpdateRefused
from fedactors.form import IDENTITY, Form, Travelling
from fedactors.model import Layout
from fedactors.protocol import PushOpening
from fedactors.task import Refusal, TrainReport

MODEL = Layout.from_specs([("w", "float32", (64,))])
OTHER = Layout.from_specs([("v", "float32", (64,))])
SPECS = (("w", "float32", (64,)),)


class OnlyBf16(Bf16):
    """A form that nobody may do without."""

    optional: ClassVar[bool] = False


def opening(layout: Layout, *, specs=None, total_bytes: int | None = None) -> PushOpening:
    return PushOpening(b"", "t", layout.digest, specs, layout.nbytes if total_bytes is None else total_bytes, TrainReport(1))


def expected(push: PushOpening, form: Form = IDENTITY, model: Layout | None = MODEL, bytes_max: int = MODEL.nbytes) -> Expected:
    return Expected.from_opening(push, model, Travelling(form), bytes_max)


def refusal(*args, **kwargs) -> tuple[str, str]:
    with pytest.raises(UpdateRefused) as caught:
        expected(*args, **kwargs)
    return caught.value.reason, str(caught.value)


def test_weights_of_the_models_layout_are_taken_as_they_are():
    assert expected(opening(MODEL)) == Expected(MODEL, IDENTITY, MODEL)


def test_packed_weights_are_taken_by_the_layout_of_what_travels():
    packed = Bf16().layout(MODEL)
    assert expected(opening(packed), Bf16()) == Expected(MODEL, Bf16(), packed)


def test_weights_may_travel_as_they_are_only_where_the_form_is_optional():
    assert expected(opening(MODEL), Bf16()) == Expected(MODEL, IDENTITY, MODEL)
    reason, why = refusal(opening(MODEL), OnlyBf16())
    assert reason == Refusal.LAYOUT
    assert why.endswith(", packed or not")


@pytest.mark.parametrize("push", [opening(OTHER), opening(MODEL, total_bytes=MODEL.nbytes - 1)])
def test_what_fits_no_form_is_refused(push: PushOpening):
    assert refusal(push) == (Refusal.LAYOUT, "names, shapes or dtypes differ from the global model's")


def test_the_first_weights_have_the_layout_that_they_declare():
    assert expected(opening(MODEL, specs=SPECS), Bf16(), model=None) == Expected(MODEL, IDENTITY, MODEL)
    assert refusal(opening(OTHER, specs=SPECS), model=None)[0] == Refusal.LAYOUT, "the digest is another one's"
    assert refusal(opening(MODEL), model=None)[0] == Refusal.LAYOUT, "nothing is declared"


def test_a_model_that_is_too_large_is_refused_by_what_it_declares():
    said = f"the model has {MODEL.nbytes} bytes, more than limits.model_bytes_max = {MODEL.nbytes - 1}"
    assert refusal(opening(MODEL, specs=SPECS), model=None, bytes_max=MODEL.nbytes - 1) == (Refusal.LAYOUT, said)
