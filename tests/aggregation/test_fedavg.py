"""FedAvg against a float64 oracle, over layouts of every dtype."""

import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.aggregation import Contribution, Ordered
from fedactors.aggregation._kernels import BLOCK
from fedactors.aggregation._weighted import FAN
from fedactors.aggregation.fedavg import FedAvg
from fedactors.errors import ModelError
from fedactors.model import DTYPES, GlobalModel, Layout, is_floating
from fedactors.testing.conformance_rule import check_rule

ROUNDING = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 0.0, "float64": 0.0}
"""Half a unit in the last place of the result, relative; what the narrower dtypes add to the sum's own error."""

layouts = st.lists(st.tuples(st.sampled_from(list(DTYPES)), st.lists(st.integers(0, 4), max_size=3)), min_size=1, max_size=6).map(
    lambda specs: Layout.from_specs([(f"t{index}", dtype, tuple(shape)) for index, (dtype, shape) in enumerate(specs)])
)


def drawn(layout, rng):
    """Weights of normal size; integers over most of their dtype's range, as far as float64 holds their sums."""
    buffer = np.zeros(layout.nbytes, np.uint8)
    for tensor in layout.tensors:
        view = layout.views(buffer)[tensor.name]
        if is_floating(tensor.dtype):
            view[...] = rng.standard_normal(tensor.shape)
        elif tensor.dtype == "bool":
            view[...] = rng.integers(0, 2, tensor.shape)
        else:
            info = np.iinfo(tensor.dtype)
            view[...] = rng.integers(max(info.min, -(2**20)), min(info.max, 2**20), tensor.shape, endpoint=True)
    return buffer


def combined(layout, buffers, factors, rule=None):
    fold = (rule or FedAvg()).fold(layout)
    for index, (buffer, factor) in enumerate(zip(buffers, factors, strict=True)):
        fold.add(Contribution(f"l{index}", buffer, factor))
    return fold.commit(GlobalModel(0, layout, np.zeros(layout.nbytes, np.uint8)))


def single(array, factors, dtype=None):
    """FedAvg of one tensor from each learner."""
    arrays = [np.asarray(value, dtype) for value in array]
    layout = Layout.of({"w": arrays[0]})
    buffer = combined(layout, [layout.pack({"w": value}) for value in arrays], factors)
    return layout.views(buffer)["w"]


def agrees_with_the_oracle(layout, buffers, factors):
    found = layout.views(combined(layout, buffers, factors))
    shares = np.array(factors) / sum(factors)
    for tensor in layout.tensors:
        stack = np.stack([layout.views(buffer)[tensor.name].astype(np.float64) for buffer in buffers])
        mean, size = np.tensordot(shares, stack, 1), np.tensordot(shares, abs(stack), 1)
        value = found[tensor.name].astype(np.float64)
        if is_floating(tensor.dtype):
            assert (abs(value - mean) <= 1e-6 * size + ROUNDING[tensor.dtype] * abs(mean)).all(), tensor
        else:
            assert (abs(value - mean) <= 0.5 + 1e-9).all(), tensor


def test_fedavg_conforms():
    check_rule(FedAvg())


def test_ordered_fedavg_conforms():
    check_rule(Ordered(FedAvg()))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(layout=layouts, updates=st.integers(1, 40), seed=st.integers(0, 1000), large=st.booleans())
def test_mean_agrees_with_a_float64_oracle_for_any_layout(layout, updates, seed, large):
    rng = np.random.default_rng(seed)
    factors = rng.integers(1, 10**7 if large else 10, updates).astype(float).tolist()
    agrees_with_the_oracle(layout, [drawn(layout, rng) for _ in range(updates)], factors)


@pytest.mark.parametrize("equal", [False, True], ids=["different updates", "equal updates"])
@pytest.mark.parametrize("factor_max", [2, 10**7])
@pytest.mark.parametrize("updates", [FAN - 1, FAN, FAN + 1, 200, FAN**2 + 1])
def test_mean_of_many_updates_stays_within_1e_6(updates, factor_max, equal):
    rng = np.random.default_rng(updates)
    layout = Layout.from_specs([(dtype, dtype, (500,)) for dtype in ("float32", "bfloat16", "float16", "float64", "int32")])
    first = drawn(layout, rng)
    buffers = [first if equal else drawn(layout, rng) for _ in range(updates)]
    agrees_with_the_oracle(layout, buffers, rng.integers(1, factor_max, updates).astype(float).tolist())


@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_tensors_around_the_block_size_are_combined_to_their_end(size):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(size).astype(np.float32) for _ in range(3)]
    np.testing.assert_allclose(single(arrays, [1.0, 2.0, 1.0]), (arrays[0] + 2 * arrays[1] + arrays[2]) / 4, rtol=0, atol=1e-6)


def test_integers_are_the_exact_mean_rounded_once_half_to_even():
    assert single([1, 2], [1.0, 1.0], np.int32) == 2
    assert single([2, 3], [1.0, 1.0], np.int32) == 2
    assert single([1, 2], [3.0, 3.0], np.int8) == 2
    assert single([-1, -2], [7.0, 7.0], np.int64) == -2
    assert single([1, 1, 2], [1.0, 1.0, 1.0], np.uint8) == 1


def test_integers_of_three_thirds_lose_nothing():
    assert single([10, 10, 10], [0.1, 0.2, 0.3], np.int16) == 10


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_extreme_integers_do_not_wrap(dtype):
    info = np.iinfo(dtype)
    for extreme in (info.min, info.max):
        found = int(single([extreme] * 3, [0.1, 0.7, 1e7], np.dtype(dtype)))
        assert abs(found - extreme) <= (2048 if info.bits == 64 else 0)


def test_bool_is_what_more_than_half_of_the_share_says():
    assert single([True, False], [2.0, 1.0], np.bool_)
    assert not single([True, False], [1.0, 1.0], np.bool_)
    assert not single([True, False, False], [1.0, 1.0, 1.0], np.bool_)


def test_bool_of_any_nonzero_byte_is_true_once():
    layout = Layout.from_specs([("flag", "bool", (1,))])
    odd, no = np.zeros(layout.nbytes, np.uint8), np.zeros(layout.nbytes, np.uint8)
    odd[0] = 255
    assert combined(layout, [odd, no, no], [1.0, 1.0, 1.0])[0] == 0
    assert combined(layout, [odd, odd, no], [1.0, 1.0, 1.0])[0] == 1


def test_half_precision_sums_do_not_overflow():
    assert single([60_000.0] * 100, [1e7] * 100, np.float16) == np.float16(60_000)
    largest = float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)
    assert np.isfinite(single([largest / 4] * 3, [1e7] * 3, DTYPES["bfloat16"]))


def test_factors_of_any_magnitude_give_the_same_mean():
    arrays = [np.float32(value) for value in (1.0, 2.0)]
    for scale in (1e-300, 1e-12, 1.0, 1e15):
        assert single(arrays, [scale, 3 * scale]) == pytest.approx(1.75, rel=1e-6)


def test_update_without_share_changes_nothing_even_if_it_diverged():
    assert single([np.float32("inf"), np.float32(2), np.float32("nan")], [0.0, 1.0, 0.0]) == 2.0


def test_result_keeps_dtype_and_has_zero_padding_whatever_a_peer_put_there():
    layout = Layout.from_specs([("a", "float32", (3,)), ("b", "float32", (1,)), ("c", "int8", (5,))])
    buffers = [np.full(layout.nbytes, 0xFF, np.uint8) for _ in range(2)]
    for buffer in buffers:
        for view in layout.views(buffer).values():
            view[...] = 1
    assert (
        combined(layout, buffers, [1.0, 1.0]).tobytes()
        == layout.pack({"a": np.ones(3, np.float32), "b": np.ones(1, np.float32), "c": np.ones(5, np.int8)}).tobytes()
    )


def test_ordered_gives_the_same_bits_for_every_order_of_arrival():
    rng = np.random.default_rng(5)
    layout = Layout.from_specs([("w", "float32", (1000,)), ("h", "bfloat16", (100,))])
    contributions = [Contribution(f"l{n:03}", drawn(layout, rng), float(rng.integers(1, 1000))) for n in range(40)]
    results = set()
    for _ in range(10):
        fold = Ordered(FedAvg()).fold(layout)
        for index in rng.permutation(len(contributions)):
            fold.add(contributions[index])
        results.add(fold.commit(GlobalModel(0, layout, np.zeros(layout.nbytes, np.uint8))).tobytes())
    assert len(results) == 1


def test_ordered_lets_go_of_its_updates_when_a_round_is_over():
    layout = Layout.from_specs([("w", "float32", (2,))])
    fold = Ordered(FedAvg()).fold(layout)
    fold.add(Contribution("a", layout.pack({"w": np.ones(2, np.float32)}), 1.0))
    fold.abandon()
    with pytest.raises(ModelError, match="nothing to combine"):
        fold.commit(GlobalModel(0, layout, np.zeros(layout.nbytes, np.uint8)))


def test_ordered_says_that_it_keeps_updates_and_fedavg_that_it_does_not():
    assert Ordered(FedAvg()).keeps_updates
    assert not FedAvg().keeps_updates


def test_zero_sum_of_factors_names_the_learners():
    layout = Layout.from_specs([("w", "float32", (2,))])
    buffer = np.zeros(layout.nbytes, np.uint8)
    with pytest.raises(ModelError, match="sum to zero: l0, l1, l10, l11, l2, l3, l4, l5, l6, l7 and 2 more reported nothing"):
        combined(layout, [buffer] * 12, [0.0] * 12)


@pytest.mark.parametrize(("updates", "models_max"), [(FAN - 1, 1.1), (200, 2.1)])
def test_memory_does_not_grow_with_the_number_of_updates(updates, models_max):
    """The accumulator, and one more for each power of FAN; the temporary is a block's."""
    layout = Layout.from_specs([("w", "float32", (20 * BLOCK,))])
    buffer = np.zeros(layout.nbytes, np.uint8)
    tracemalloc.start()
    try:
        fold = FedAvg().fold(layout)
        for number in range(updates):
            fold.add(Contribution(f"l{number}", buffer, 1.0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < models_max * layout.nbytes


def test_conformance_finds_a_rule_that_keeps_updates_in_secret():
    class Secretive(Ordered):
        keeps_updates = False

    with pytest.raises(AssertionError, match="set keeps_updates = True"):
        check_rule(Secretive(FedAvg()))
