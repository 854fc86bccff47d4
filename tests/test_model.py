"""Layouts, buffers and global models."""

import itertools
import re

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.errors import LayoutMismatch, ModelError
from fedactors.model import (
    ALIGNMENT_BYTES,
    DTYPES,
    NAME_CHARS_MAX,
    TENSORS_MAX,
    GlobalModel,
    Layout,
    all_finite,
    dtype_name,
    is_floating,
)

BF16 = np.dtype(ml_dtypes.bfloat16)
WEIGHTS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "conv.bias": np.arange(3, dtype=BF16),
    "batches": np.array(7, np.int64),
    "mask": np.array([True, False]),
    "empty": np.zeros((0, 5), np.float16),
}

specs = st.lists(st.tuples(st.sampled_from(list(DTYPES)), st.lists(st.integers(0, 5), max_size=3)), min_size=1, max_size=8).map(
    lambda drawn: [(f"t{index}", dtype, tuple(shape)) for index, (dtype, shape) in enumerate(drawn)]
)

fixed = settings(max_examples=80, deadline=None, derandomize=True, database=None)


@fixed
@given(specs)
def test_tensors_are_aligned_and_do_not_overlap(drawn):
    layout = Layout.from_specs(drawn)
    end = 0
    for tensor in layout.tensors:
        assert tensor.offset % ALIGNMENT_BYTES == 0
        assert end <= tensor.offset < end + ALIGNMENT_BYTES
        end = tensor.offset + tensor.nbytes
    assert end <= layout.nbytes < end + ALIGNMENT_BYTES


@fixed
@given(specs)
def test_runs_cover_the_buffer_and_change_the_dtype_each_time(drawn):
    layout = Layout.from_specs(drawn)
    runs = list(layout.runs())
    assert [start for _, start, _ in runs] == [0, *(end for _, _, end in runs[:-1])]
    assert runs[-1][2] == layout.nbytes
    assert all(dtype != following for (dtype, _, _), (following, _, _) in itertools.pairwise(runs))
    for tensor in layout.tensors:
        assert any(d == tensor.dtype and s <= tensor.offset and tensor.offset + tensor.nbytes <= e for d, s, e in runs)


@fixed
@given(specs, st.integers(0, 99))
def test_what_is_packed_is_what_the_views_show(drawn, seed):
    rng = np.random.default_rng(seed)
    weights = {name: rng.integers(0, 2, shape).astype(DTYPES[dtype]) for name, dtype, shape in drawn}
    layout = Layout.of(weights)
    assert layout.specs == drawn
    buffer = layout.pack(weights)
    views = layout.views(buffer)
    assert list(views) == list(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(views[name], array)
        assert views[name].dtype == array.dtype
        assert views[name].size == 0 or np.shares_memory(views[name], buffer)


@fixed
@given(specs, st.integers(0, 99))
def test_what_a_buffer_held_before_is_not_in_what_is_packed_into_it(drawn, seed):
    rng = np.random.default_rng(seed)
    weights = {name: rng.integers(0, 2, shape).astype(DTYPES[dtype]) for name, dtype, shape in drawn}
    layout = Layout.of(weights)
    packed = [layout.pack(weights, out=np.full(layout.nbytes, value, np.uint8)) for value in (0, 255)]
    np.testing.assert_array_equal(*packed)


@fixed
@given(specs)
def test_layout_travels_as_its_specs(drawn):
    layout = Layout.from_specs(drawn)
    again = Layout.from_specs([[name, dtype, list(shape)] for name, dtype, shape in layout.specs])
    assert again == layout
    assert again.digest == layout.digest
    assert layout.num_parameters == sum(int(np.prod(shape, dtype=int)) for _, _, shape in drawn)


def test_digest_differs_with_name_dtype_shape_and_order():
    layouts = [
        Layout.from_specs(drawn)
        for drawn in (
            [("a", "float32", (2,)), ("b", "int8", ())],
            [("b", "int8", ()), ("a", "float32", (2,))],
            [("a", "float32", (2, 1)), ("b", "int8", ())],
            [("a", "float64", (2,)), ("b", "int8", ())],
            [("A", "float32", (2,)), ("b", "int8", ())],
        )
    ]
    assert len({layout.digest for layout in layouts}) == len(layouts)


def test_views_write_through_and_need_a_buffer_of_the_right_size():
    layout = Layout.of(WEIGHTS)
    buffer = layout.pack(WEIGHTS)
    layout.views(buffer)["conv.weight"][0, 0, 0] = 5
    assert layout.views(buffer)["conv.weight"][0, 0, 0] == 5
    with pytest.raises(LayoutMismatch, match=f"takes {layout.nbytes} bytes, the buffer has 8"):
        layout.views(np.zeros(8, np.uint8))


def test_pack_takes_any_memory_order():
    fortran = {"w": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))[:, ::-1]}
    layout = Layout.of(fortran)
    np.testing.assert_array_equal(layout.views(layout.pack(fortran))["w"], fortran["w"])


def test_pack_into_a_buffer_returns_that_buffer():
    layout = Layout.of(WEIGHTS)
    buffer = np.zeros(layout.nbytes, np.uint8)
    assert layout.pack(WEIGHTS, out=buffer) is buffer


def test_weights_of_the_other_byte_order_are_the_same_weights():
    swapped = {"w": np.arange(3, dtype=np.dtype(np.float32).newbyteorder("S"))}
    model = GlobalModel.initial(swapped)
    np.testing.assert_array_equal(model.weights["w"], [0, 1, 2])
    assert model.weights["w"].dtype == np.float32


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("batches"), "tensor 'batches' is missing; the global model has batches: int64[]"),
        (
            lambda w: w.update({"conv.bias": np.zeros((3, 1), BF16)}),
            "tensor 'conv.bias' has shape [3, 1]; the global model has conv.bias: bfloat16[3]",
        ),
        (
            lambda w: w.update({"conv.weight": WEIGHTS["conv.weight"].astype(np.float64)}),
            "tensor 'conv.weight' has dtype float64; the global model has conv.weight: float32[2, 3, 4]",
        ),
        (lambda w: w.update({"head": np.zeros(1)}), "tensor 'head' is not in the global model"),
    ],
)
def test_first_difference_is_told_with_what_the_global_model_has(change, said):
    layout, weights = Layout.of(WEIGHTS), dict(WEIGHTS)
    assert layout.difference(weights) is None
    change(weights)
    assert layout.difference(weights) == said
    with pytest.raises(LayoutMismatch, match=re.escape(said)):
        layout.pack(weights)


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        ([], "1 to 100,000 tensors, not 0"),
        ([("t", "float32", ())] * (TENSORS_MAX + 1), "not 100,001"),
        ([("", "float32", ())], "tensor name ''"),
        ([("n" * (NAME_CHARS_MAX + 1), "float32", ())], "longer than 512"),
        ([(3, "float32", ())], "tensor name 3"),
        ([("a", "float32", ()), ("a", "int8", ())], "not unique"),
        ([("a", "complex64", ())], "tensor 'a' has dtype 'complex64'; allowed are bfloat16"),
        ([("a", ["float32"], ())], "tensor 'a' has dtype"),
        ([("a", "float32", (1,) * 33)], "it is at most 32 integers >= 0"),
        ([("a", "float32", (-1,))], "it is at most 32 integers >= 0"),
        ([("a", "float32", (1.0,))], "it is at most 32 integers >= 0"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_layouts_that_are_not_allowed_are_refused(drawn, said):
    with pytest.raises(ModelError) as refused:
        Layout.from_specs(drawn)
    assert said in str(refused.value)


@pytest.mark.parametrize("dtype", ["complex64", "datetime64[s]", "O", "S3"])
def test_foreign_dtypes_are_refused_by_the_tensors_name(dtype):
    with pytest.raises(ModelError, match="tensor 'w' has dtype"):
        Layout.of({"w": np.zeros(2, dtype)})


def test_every_dtype_has_one_name():
    assert {dtype_name("t", dtype) for dtype in DTYPES.values()} == set(DTYPES)
    assert {name for name in DTYPES if is_floating(name)} == {"bfloat16", "float16", "float32", "float64"}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_first_tensor_that_is_not_finite_is_found(dtype, bad):
    weights = {
        "steps": np.full(2, -1, np.int64),
        "fine": np.ones(3, DTYPES[dtype]),
        "bad": np.ones((2, 2), DTYPES[dtype]),
        "worse": np.ones(1, DTYPES[dtype]),
    }
    layout = Layout.of(weights)
    assert layout.first_not_finite(layout.pack(weights)) is None
    weights["bad"][1, 1] = weights["worse"][0] = bad
    assert layout.first_not_finite(layout.pack(weights)) == "bad"


def test_rubbish_in_the_padding_is_nobodys_value():
    layout = Layout.from_specs([("w", "float32", (3,))])
    buffer = layout.pack({"w": np.ones(3, np.float32)})
    buffer[12:16].view(np.float32)[0] = float("nan")
    assert layout.first_not_finite(buffer) is None


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_values_whose_squares_overflow_are_finite(dtype):
    greatest = np.full(3, ml_dtypes.finfo(DTYPES[dtype]).max, DTYPES[dtype])
    assert all_finite(greatest)
    assert all_finite(-greatest)
    assert not all_finite(np.append(greatest, DTYPES[dtype].type(-np.inf)))


def test_initial_model_is_version_0_of_a_copy():
    weights = {"w": np.zeros(3, np.float32)}
    model = GlobalModel.initial(weights)
    weights["w"][:] = 9
    assert model.version == 0
    np.testing.assert_array_equal(model.weights["w"], np.zeros(3))


def test_models_are_read_only():
    model = GlobalModel.initial(WEIGHTS)
    with pytest.raises(ValueError, match="read-only"):
        model.weights["conv.weight"][0] = 1


def test_sha256_is_equal_for_equal_weights_alone():
    changed = {**WEIGHTS, "batches": np.array(8, np.int64)}
    assert GlobalModel.initial(WEIGHTS).sha256 == GlobalModel.initial(dict(WEIGHTS)).sha256
    assert GlobalModel.initial(WEIGHTS).sha256 != GlobalModel.initial(changed).sha256
