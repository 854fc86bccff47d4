"""Each form beside float64 numpy, on models of any mixture of dtypes and sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.compression.bf16 import Bf16
from fedactors.compression.fp16 import Fp16
from fedactors.compression.int8 import Int8, Rounding
from fedactors.compression.narrowed import Of
from fedactors.compression.top_k import TopK, greatest
from fedactors.errors import ConfigError, ModelError
from fedactors.model import Layout, is_floating
from tests.aggregation.layouts import ROUNDING, drawn, exact, layouts

seeds = st.integers(0, 2**32 - 1)


def moved(layout, seed, step=0.1):
    """A base, and weights that are a step away from it; integers are others altogether."""
    rng = np.random.default_rng(seed)
    base, other = drawn(layout, rng), drawn(layout, rng)
    update = other.copy()
    for tensor in layout.tensors:
        if is_floating(tensor.dtype):
            views = [layout.views(buffer)[tensor.name] for buffer in (update, base, other)]
            views[0][...] = views[1] + step * views[2].astype(np.float64)
    return update, base


def unpacked(form, update, base, layout, seed=7):
    out = np.zeros(layout.nbytes, np.uint8)
    form.unpack(form.pack(update, base, layout, seed), base, layout, out)
    return out


def each(form, layout, seed):
    """(tensor, what came out, weights, base) of each floating-point tensor in float64; the others came out as they were."""
    update, base = moved(layout, seed)
    found, wanted, began = (exact(layout, buffer) for buffer in (unpacked(form, update, base, layout), update, base))
    for tensor in layout.tensors:
        if is_floating(tensor.dtype):
            yield tensor, found[tensor.name], wanted[tensor.name], began[tensor.name]
        else:
            assert np.array_equal(found[tensor.name], wanted[tensor.name])


def rounding(tensor, *values):
    """What the model's own dtype, and the float32 that it is worked on in, may add."""
    return 2 * (ROUNDING[tensor.dtype] + 2.0**-24 * (tensor.dtype != "float64")) * sum(abs(value) for value in values)


@pytest.mark.parametrize(("form", "share", "least"), [(Bf16, 2.0**-8, 0.0), (Fp16, 2.0**-11, 2.0**-25)])
@pytest.mark.parametrize("of", Of)
@settings(deadline=None)
@given(layout=layouts, seed=seeds)
def test_sixteen_bits_are_off_by_half_a_step_of_their_own(form, share, least, of, layout, seed):
    for tensor, found, wanted, base in each(form(of), layout, seed):
        narrowed = wanted if of is Of.WEIGHTS else wanted - base
        assert (abs(found - wanted) <= share * abs(narrowed) + least + rounding(tensor, wanted, base)).all(), tensor


@pytest.mark.parametrize(("mode", "steps"), [(Rounding.NEAREST, 0.5), (Rounding.STOCHASTIC, 1.0)])
@settings(deadline=None)
@given(layout=layouts, seed=seeds)
def test_eight_bits_are_off_by_half_a_step_of_their_block_or_by_one(mode, steps, layout, seed):
    form = Int8(block=16, rounding=mode)
    update, base = moved(layout, seed)
    greatest_of = {
        group.dtype: max(abs(group.read(update, block) - group.read(base, block)).max() for block in group.blocks())
        for group in form.division(layout).groups
    }
    for tensor, found, wanted, began in each(form, layout, seed):
        if tensor.size:
            step = greatest_of[tensor.dtype] / 127
            assert (abs(found - wanted) <= steps * step * 1.0001 + rounding(tensor, wanted, began)).all(), tensor


def test_a_block_of_eight_bits_has_a_step_of_its_own():
    layout = Layout.from_specs([("w", "float32", (2048,))])
    update = layout.pack({"w": np.repeat(np.float32([1e-6, 1.0]), 1024)})
    found = layout.views(unpacked(Int8(rounding=Rounding.NEAREST), update, np.zeros_like(update), layout))["w"]
    np.testing.assert_allclose(found[:1024], 1e-6, rtol=1e-6)


def test_stochastic_rounding_is_right_in_the_mean_and_rounding_to_nearest_is_not():
    layout = Layout.from_specs([("w", "float32", (1024,))])
    values = np.full(1024, 0.3 / 127, np.float32)  # three tenths of a step
    values[0] = 1.0
    update, base = layout.pack({"w": values}), np.zeros(layout.nbytes, np.uint8)
    means = {}
    for mode in Rounding:
        rounds = [layout.views(unpacked(Int8(rounding=mode), update, base, layout, seed))["w"][1:] for seed in range(50)]
        means[mode] = float(np.mean(rounds)) * 127
    assert means[Rounding.NEAREST] == 0
    assert means[Rounding.STOCHASTIC] == pytest.approx(0.3, abs=5 * np.sqrt(0.3 * 0.7 / (1023 * 50)))


@pytest.mark.parametrize("fraction", [0.01, 0.3, 1.0])
@settings(deadline=None)
@given(layout=layouts, seed=seeds)
def test_the_greatest_differences_come_through_and_the_others_are_held_back(fraction, layout, seed):
    form, (update, base) = TopK(fraction), moved(layout, seed)
    residual = form.nothing_held_back(layout)
    packed = form.pack_with(update, base, layout, 7, residual)
    assert form.problem(packed, layout) is None
    out = np.zeros(layout.nbytes, np.uint8)
    form.unpack(packed, base, layout, out)
    for group in form.division(layout).groups:
        whole = slice(0, group.size)
        found, wanted, began = (group.read(buffer, whole) for buffer in (out, update, base))
        change, left = wanted - began, residual[group.dtype]
        k = int(np.ceil(fraction * group.size))
        places = np.sort(form.division(layout).layout.views(packed)[f"{group.dtype} top k places"])
        assert len(set(places.tolist())) == k
        assert abs(change[places]).min() >= np.partition(abs(change), group.size - k)[group.size - k], "the greatest"
        tolerance = 2 * ROUNDING[group.dtype] * (abs(wanted) + abs(began)) + 1e-6
        assert (abs(found - wanted)[places] <= tolerance[places]).all()
        others = np.setdiff1d(np.arange(group.size), places)
        assert np.array_equal(found[others], began[others])
        assert np.array_equal(left[others], change[others]), "what is not sent is held back to the bit"
        assert (abs(left[places]) <= tolerance[places]).all()


@settings(deadline=None)
@given(seed=seeds, k=st.integers(1, 3000), size=st.sampled_from([3000, 70_000, 200_000]), spread=st.sampled_from([0, 1, 9]))
def test_the_greatest_of_many_are_found_by_their_sample(seed, k, size, spread):
    """As those of the sorted values are, ties and long tails included."""
    magnitudes = np.exp(spread * np.random.default_rng(seed).standard_normal(size)).astype(np.float32)
    places = greatest(magnitudes, k)
    assert (np.diff(places) > 0).all()
    assert np.array_equal(np.sort(magnitudes[places]), np.sort(magnitudes)[size - k :])


@pytest.mark.parametrize("form", [Bf16(), Fp16(), Int8(), TopK(0.5)])
def test_a_model_without_floats_travels_as_it_is(form):
    layout = Layout.from_specs([("n", "int64", (3,)), ("b", "bool", (2,))])
    assert form.layout(layout).digest == layout.digest


@pytest.mark.parametrize(("of", "base"), [(Of.WEIGHTS, 1.0), (Of.DIFFERENCE, 0.0)])
def test_what_half_precision_cannot_hold_is_told_by_name(of, base):
    layout = Layout.from_specs([("bias", "float32", (2,)), ("weight", "float32", (3,))])
    start = {"bias": np.zeros(2, np.float32), "weight": np.full(3, base, np.float32)}
    update = layout.pack({**start, "weight": np.float32([1, 70_000, 1])})
    with pytest.raises(ModelError, match=rf"the {of} of tensor 'weight' holds 70000, more than float16 can"):
        Fp16(of).pack(update, layout.pack(start), layout, 7)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Int8(block=1000), "int8: block = 1000 is no power of two from 16 to 131,072"),
        (lambda: Int8(block=8), "int8: block = 8 is no power of two"),
        (lambda: TopK(0.0), "top_k: fraction = 0.0 is not above 0 and up to 1"),
        (lambda: TopK(1.5), "top_k: fraction = 1.5 is not above 0 and up to 1"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
