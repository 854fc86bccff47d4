"""Uploads that are looked at chunk by chunk: what is said to be finite is, and everything finite is said to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedactors.actors.compute import Compute
from fedactors.actors.expected import Expected
from fedactors.actors.intake import Intake
from fedactors.actors.looking import RUNS_MAX, LookingReceiver
from fedactors.actors.upload_slots import Loan
from fedactors.errors import UpdateRefused
from fedactors.form import Identity
from fedactors.model import DTYPES, Buffer, Layout
from fedactors.protocol import BlobReceiver
from fedactors.protocol.chunks import encode_chunk
from fedactors.runtime import ActorRef

LAYOUT = Layout.from_specs([("a", "float32", (100,)), ("n", "int8", (70,)), ("b", "bfloat16", (33,)), ("c", "float64", (13,))])


def ones(layout: Layout) -> Buffer:
    return layout.pack({tensor.name: np.ones(tensor.shape, DTYPES[tensor.dtype]) for tensor in layout.tensors})


def fed(layout: Layout, buffer: Buffer, chunk_bytes: int, received_bytes: int = 0) -> LookingReceiver:
    into = LookingReceiver(layout, np.zeros(layout.nbytes, np.uint8), received_bytes)
    while not into.is_complete:
        assert not into.is_finite
        offset = into.received_bytes
        into.feed(encode_chunk(offset, buffer.data[offset : offset + chunk_bytes]))
    return into


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    kinds = draw(st.lists(st.tuples(st.sampled_from(list(DTYPES)), st.integers(0, 40)), min_size=1, max_size=8))
    return Layout.from_specs([(f"t{index}", dtype, (size,)) for index, (dtype, size) in enumerate(kinds)])


@given(layouts(), st.integers(1, 300), st.data())
def test_what_is_looked_at_in_chunks_is_as_finite_as_what_is_looked_at_as_a_whole(layout, chunk_bytes, data):
    buffer = ones(layout)
    if layout.nbytes and data.draw(st.booleans()):  # all ones are NaN in every floating-point dtype
        start = data.draw(st.integers(0, layout.nbytes // 8 - 1)) * 8
        buffer[start : start + 8] = 255
    into = fed(layout, buffer, chunk_bytes)
    if into.is_finite:
        assert layout.first_not_finite(buffer) is None
    floats = [buffer[start:end].view(DTYPES[dtype]) for dtype, start, end in layout.runs() if "float" in dtype]
    assert into.is_finite == all(np.isfinite(values).all() for values in floats)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 100, 10_000])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("tensor", ["a", "b", "c"])
def test_a_last_value_that_is_not_finite_is_noticed(chunk_bytes, value, tensor):
    buffer = ones(LAYOUT)
    LAYOUT.views(buffer)[tensor][-1] = value
    assert not fed(LAYOUT, buffer, chunk_bytes).is_finite


def test_integers_of_any_bits_are_finite():
    buffer = ones(LAYOUT)
    LAYOUT.views(buffer)["n"][:] = -1
    assert fed(LAYOUT, buffer, 100).is_finite


def test_what_an_earlier_attempt_received_is_not_taken_for_finite():
    assert not fed(LAYOUT, ones(LAYOUT), 64, received_bytes=64).is_finite


def test_a_layout_of_many_runs_is_left_to_whoever_looks_at_the_whole():
    many = Layout.from_specs([(f"t{index}", ("float32", "int32")[index % 2], (1,)) for index in range(RUNS_MAX + 1)])
    assert not fed(many, ones(many), 4096).is_finite


@pytest.mark.parametrize(("place", "received_bytes", "why"), [(0, 0, "'a'"), (-1, 64, "'c'"), (0, 64, "'a'")])
async def test_what_is_not_finite_is_refused_by_the_name_of_its_tensor(place, received_bytes, why):
    buffer = ones(LAYOUT)
    LAYOUT.views(buffer)["a" if place == 0 else "c"][place] = np.nan
    intake, expected = receiving(), Expected.as_they_are(LAYOUT)
    into = intake._receiver(expected, Loan(buffer.copy(), received_bytes))
    while not into.is_complete:
        into.feed(encode_chunk(into.received_bytes, buffer.data[into.received_bytes : into.received_bytes + 64]))
    with pytest.raises(UpdateRefused, match=f"tensor {why} holds NaN or an infinity"):
        await intake._check(expected, into)


async def test_where_nothing_is_refused_for_its_values_nothing_is_looked_at():
    receiver = receiving(refuse_not_finite=False)._receiver(Expected.as_they_are(LAYOUT), Loan(ones(LAYOUT), 0))
    assert type(receiver) is BlobReceiver


async def test_what_travels_in_another_form_is_left_to_the_form():
    expected = Expected(LAYOUT, Identity(), LAYOUT)
    assert type(receiving()._receiver(expected, Loan(ones(LAYOUT), 0))) is BlobReceiver


def receiving(*, refuse_not_finite: bool = True) -> Intake:
    return Intake("ada", ActorRef.__new__(ActorRef), Compute(), refuse_not_finite)
