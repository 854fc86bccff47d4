"""Differences as words: how exact they are, that sums do not wrap, and what cannot be written."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedactors.errors import ModelError
from fedactors.model import Array, Buffer, Layout
from fedactors.privacy.masking.fixed_point import FixedPoint, words_layout

LAYOUT = Layout.from_specs([("a", "float32", (70_000,)), ("b", "float64", (3, 2)), ("c", "bfloat16", (5,)), ("d", "float32", ())])


def model(seed: int, scale: float = 1.0) -> Buffer:
    rng = np.random.default_rng(seed)
    weights = {tensor.name: rng.normal(0, scale, tensor.shape).astype(array.dtype) for tensor, array in _views()}
    return LAYOUT.pack(weights)


def _views() -> list[tuple[object, Array]]:
    return list(zip(LAYOUT.tensors, LAYOUT.views(np.zeros(LAYOUT.nbytes, np.uint8)).values(), strict=True))


@pytest.mark.parametrize("bits", [32, 64])
def test_the_mean_is_as_exact_as_it_says(bits: int) -> None:
    base, updates, factors = model(0), [model(seed) for seed in (1, 2, 3)], [100, 7, 2_000]
    fixed = FixedPoint(bits, clip=10.0, factor_max=5_000, learners=4)
    written = [fixed.words(LAYOUT, update, base, factor) for update, factor in zip(updates, factors, strict=True)]
    assert [clipped for _, clipped in written] == [0, 0, 0]
    total = sum((words for words, _ in written), np.zeros_like(written[0][0]))
    views = LAYOUT.views(fixed.mean(LAYOUT, total, 3, base))
    bound = fixed.learners * fixed.step / (2 * sum(factors))
    for name, array in views.items():
        exact = sum(
            np.float64(factor) * LAYOUT.views(update)[name].astype(np.float64)
            for update, factor in zip(updates, factors, strict=True)
        ) / sum(factors)
        rounding = np.abs(exact) * float(ml_dtypes.finfo(array.dtype).eps)
        assert (np.abs(array.astype(np.float64) - exact) <= bound + rounding + 1e-14).all()


def test_64_bits_are_more_exact_than_32() -> None:
    coarse, fine = (FixedPoint(bits, 8.0, 100_000, 10).step for bits in (32, 64))
    assert fine < 1e-6 * coarse


@given(
    bits=st.sampled_from([32, 64]), learners=st.integers(3, 300), factor_max=st.integers(1, 10_000), sign=st.sampled_from([-1, 1])
)
def test_the_largest_sum_does_not_wrap(bits: int, learners: int, factor_max: int, sign: int) -> None:
    layout = Layout.from_specs([("a", "float64", (1,))])
    fixed = FixedPoint(bits, 1.0, factor_max, learners)
    base, far = layout.pack({"a": np.zeros(1)}), layout.pack({"a": np.full(1, sign * 50.0)})
    words, clipped = fixed.words(layout, far, base, factor_max)
    assert clipped == 1
    mean = layout.views(fixed.mean(layout, words * words.dtype.type(learners), learners, base))["a"]
    assert mean[0] == pytest.approx(sign, rel=1e-4)


def test_a_difference_counts_as_clip_at_most() -> None:
    layout = Layout.from_specs([("a", "float32", (4,))])
    fixed = FixedPoint(32, 0.5, 1, 3)
    base = layout.pack({"a": np.ones(4, np.float32)})
    words, clipped = fixed.words(layout, layout.pack({"a": np.array([1.25, 9, -9, 1], np.float32)}), base, 1)
    assert clipped == 2
    mean = layout.views(fixed.mean(layout, words, 1, base))["a"]
    assert mean == pytest.approx([1.25, 1.5, 0.5, 1.0])


def test_an_update_that_is_not_finite_has_no_words() -> None:
    update = model(1)
    LAYOUT.views(update)["b"][0, 1] = np.nan
    with pytest.raises(ModelError, match="tensor 'b' holds NaN or an infinity"):
        FixedPoint(32, 8.0, 10, 3).words(LAYOUT, update, model(0), 1)


@pytest.mark.parametrize("factor", [0, 11, 2.5])
def test_a_factor_is_a_whole_number_within_its_bounds(factor: float) -> None:
    with pytest.raises(ModelError, match=f"factor is {factor:g}; masking takes whole numbers from 1 to factor_max = 10"):
        FixedPoint(32, 8.0, 10, 3).words(LAYOUT, model(1), model(0), factor)  # type: ignore[arg-type]  # what a report says


def test_too_many_learners_do_not_fit() -> None:
    with pytest.raises(ModelError, match=r"60,000 learners .* do not fit into 32 bits: write a smaller factor_max, or bits = 64"):
        FixedPoint(32, 8.0, 100_000, 60_000)


def test_a_sum_that_is_none_is_an_error() -> None:
    fixed = FixedPoint(32, 8.0, 10, 3)
    words, _ = fixed.words(LAYOUT, model(1), model(0), 4)
    for total, updates in ((words, 2), (words + np.uint32(1), 1), (np.zeros_like(words), 0), (words * np.uint32(3), 1)):
        with pytest.raises(ModelError, match="does not add up: the masks of one did not cancel"):
            fixed.mean(LAYOUT, total, updates, model(0))


def test_tensors_of_whole_numbers_are_refused() -> None:
    layout = Layout.from_specs([("w", "float32", (2,)), ("bn.num_batches_tracked", "int64", ())])
    with pytest.raises(ModelError, match=r"bn.num_batches_tracked: int64\[\] .*model.local = \['bn.num_batches_tracked'\]"):
        words_layout(layout, 32)


def test_one_word_travels_for_each_parameter_and_two_more() -> None:
    layout = words_layout(LAYOUT, 64)
    assert layout.specs == [("words", "uint64", (LAYOUT.num_parameters + 2,))]
