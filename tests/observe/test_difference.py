from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from fedactors.errors import LayoutMismatch
from fedactors.model import GlobalModel
from fedactors.observe import difference
from fedactors.observe.difference import Difference, differences, together


def model(**weights):
    return GlobalModel.initial(weights)


def test_each_tensor_has_its_greatest_difference_and_its_relative_length():
    a = model(w=np.array([[3.0, 4.0], [0.0, 0.0]], np.float32), n=np.array(10, np.int64))
    b = model(w=np.array([[3.0, 1.0], [4.0, 0.0]], np.float32), n=np.array(7, np.int64))
    w, n = differences(a, b)
    assert (w[0].name, w[1].max_abs, w[1].relative_l2) == ("w", 4.0, 1.0)
    assert (n[0].name, n[1].max_abs, n[1].relative_l2) == ("n", 3.0, 0.3)
    total = together([w[1], n[1]])
    assert total.max_abs == 4.0
    assert total.relative_l2 == pytest.approx(math.sqrt((25 + 9) / (25 + 100)))


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.uint8, np.bool_])
def test_small_types_are_compared_without_overflow(dtype):
    a, b = model(w=np.zeros(300, dtype)), model(w=np.ones(300, dtype))
    ((_, one),) = differences(b, a)
    assert (one.max_abs, one.relative_l2) == (1.0, 1.0)


def test_the_blocks_of_a_large_tensor_are_taken_together(monkeypatch):
    monkeypatch.setattr(difference, "BLOCK_VALUES", 7)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 10)), rng.normal(size=(5, 10))
    ((_, one),) = differences(model(w=x), model(w=y))
    assert one.max_abs == np.abs(y - x).max()
    assert one.relative_l2 == pytest.approx(np.linalg.norm(y - x) / np.linalg.norm(x))


def test_what_is_equal_empty_or_zero_has_a_difference_too():
    zero = model(w=np.zeros(3), none=np.zeros((0, 2)))
    assert [one.relative_l2 for _, one in differences(zero, zero)] == [0.0, 0.0]
    assert differences(zero, model(w=np.ones(3), none=np.zeros((0, 2))))[0][1].relative_l2 == math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_that_has_diverged_does_not_hide_it(value):
    diverged = model(w=np.array([value, 1.0, value]))
    total = together([Difference(2.0, 4.0, 1.0), *(one for _, one in differences(diverged, diverged))])
    assert math.isnan(total.max_abs)
    assert math.isnan(total.relative_l2)


def test_models_of_different_tensors_are_not_compared():
    with pytest.raises(LayoutMismatch, match="version 0 cannot be compared with version 0: tensor 'w' has shape"):
        differences(model(w=np.zeros(3)), model(w=np.zeros(4)))
