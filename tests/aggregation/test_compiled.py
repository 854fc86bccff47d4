"""Compiled kernels against numpy, bit by bit, for everything that they take over."""

import contextlib
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedactors import aggregation
from fedactors.aggregation import _compiled
from fedactors.aggregation._kernels import BLOCK
from fedactors.aggregation._order import middle_mean
from fedactors.aggregation._residues import Residues, ResidueSum
from fedactors.aggregation._weighted import FAN, Term, WeightedMean
from fedactors.model import DTYPES, Layout
from fedactors.privacy.ckks_parameters import PRESETS

SIZES = st.sampled_from([1, 15, 512, 513, 2047, 2048, 2049, 5000])
"""Around the tiles that kernels work on."""

FACTORS = st.one_of(
    st.tuples(st.integers(1, 40), st.sampled_from([1.0, 0.3, 20.0])).map(lambda drawn: [drawn[1]] * drawn[0]),
    st.lists(st.sampled_from([0.0, 0.1, 1.0, 3.0, 1e-9, 7e20]), min_size=1, max_size=40),
).filter(any)


@pytest.fixture(scope="module", autouse=True)
def fused():
    """The kernels, for this module alone: other tests see what numpy makes."""
    assert _compiled.load(), "pip install -e '.[fast]'"
    at_hand, _compiled.kernels = _compiled.kernels, None
    yield at_hand
    _compiled.kernels = None


@contextlib.contextmanager
def compiled(fused):
    _compiled.kernels = fused
    try:
        yield
    finally:
        _compiled.kernels = None


def drawn(rng, dtype, size):
    """Values of any magnitude, with zeros of both signs, NaN and infinities among those that have them."""
    if np.issubdtype(DTYPES[dtype], np.integer) or dtype == "bool":
        return rng.integers(0, 2 if dtype == "bool" else 100, size).astype(DTYPES[dtype])
    values = rng.normal(size=size) * 10.0 ** rng.integers(-12, 12, size)
    at = rng.random(size)
    values[at < 0.1] = rng.choice([0.0, -0.0, 1e-45, np.inf, -np.inf, np.nan], (at < 0.1).sum())
    with np.errstate(over="ignore"):
        return values.astype(DTYPES[dtype])


def same_bits(one, other, layout):
    """But for what a NaN holds beside being one."""
    for tensor, a, b in zip(layout.tensors, layout.views(one).values(), layout.views(other).values(), strict=True):
        nan = a != a  # for every dtype
        np.testing.assert_array_equal(nan, b != b, tensor.dtype)
        np.testing.assert_array_equal(a[~nan].view(np.uint8), b[~nan].view(np.uint8), tensor.dtype)


@given(st.sampled_from(sorted(DTYPES)), SIZES, FACTORS, st.booleans(), st.integers(0, 2**32))
def test_a_weighted_mean_has_the_same_bits_compiled(fused, dtype, size, factors, based, seed):
    rng = np.random.default_rng(seed)
    layout = Layout.from_specs([("w", dtype, (size,)), ("n", "float32", (3,))])
    buffers = [layout.pack({"w": drawn(rng, dtype, size), "n": drawn(rng, "float32", 3)}) for _ in range(len(factors) + 1)]
    terms = [Term(buffer, factor, buffers[-1] if based else None) for buffer, factor in zip(buffers, factors, strict=False)]

    def results():
        mean = WeightedMean(layout)
        yield mean.mean_of(terms)
        mean.add_all(terms)
        yield mean.take()
        for term in terms:
            mean.add(*term)
        yield mean.step(buffers[-1], 0.5)

    by_numpy = list(results())
    with compiled(fused):
        by_numba = list(results())
    for one, other in zip(by_numpy, by_numba, strict=True):
        same_bits(one, other, layout)


@given(st.sampled_from(["precise", "fast"]), SIZES, st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(0, 2**32))
def test_a_sum_of_residues_is_exact_compiled_and_not(fused, preset, size, groups, seed):
    """Groups of rows, of which the last is added when the sum is taken; the sum is begun twice."""
    rng, parameters = np.random.default_rng(seed), PRESETS[preset]
    residues = Residues.below(parameters.modulus, parameters.word)
    drawn = [rng.integers(0, parameters.modulus, (rows, size), parameters.word) for rows in (*groups, 1)]
    drawn[-1][:] = parameters.modulus - 1
    exact = sum(rows.astype(object).sum(axis=0) for rows in drawn) % parameters.modulus
    for kernels in (None, fused):
        total, out = ResidueSum(residues, size), np.empty(size, parameters.word)
        with compiled(kernels):
            for _ in range(2):
                for rows in drawn[:-1]:
                    if len(rows):
                        total.add(list(rows))
                total.take(list(drawn[-1]), out)
                np.testing.assert_array_equal(out, exact.astype(parameters.word))


@given(st.sampled_from(["float32", "bfloat16", "float16", "float64", "int32", "bool"]), SIZES, st.integers(1, 40), st.data())
def test_the_middle_of_updates_has_the_same_bits_compiled(fused, dtype, size, updates, data):
    """The median of odd and even numbers, and any trimmed mean; zeros of both signs and NaN come out as from numpy."""
    trim, seed = data.draw(st.integers(0, (updates - 1) // 2)), data.draw(st.integers(0, 2**32))
    rng, layout = np.random.default_rng(seed), Layout.from_specs([("w", dtype, (size,))])
    buffers = [layout.pack({"w": drawn(rng, dtype, size)}) for _ in range(updates)]
    by_numpy = middle_mean(layout, buffers, trim)
    with compiled(fused):
        same_bits(by_numpy, middle_mean(layout, buffers, trim), layout)


def test_a_sum_may_begin_with_numpy_and_end_compiled(fused):
    rng = np.random.default_rng(3)
    layout = Layout.from_specs([("w", "float32", (BLOCK + 1001,))])
    terms = [Term(layout.pack({"w": rng.normal(size=BLOCK + 1001).astype(np.float32)}), n) for n in range(1, 2 * FAN + 4)]
    plain, mixed = WeightedMean(layout), WeightedMean(layout)
    plain.add_all(terms)
    mixed.add_all(terms[:7])
    with compiled(fused):
        mixed.add_all(terms[7:])
    assert plain.take().tobytes() == mixed.take().tobytes()


def test_a_kernel_does_what_numpy_would_have_to_do_in_several_passes(fused, monkeypatch):
    """That is, the comparisons above compare something."""
    called = []
    monkeypatch.setitem(fused.ADDING, "float32", lambda *arguments: called.append(len(arguments[1])))
    layout = Layout.from_specs([("w", "float32", (100,))])
    with compiled(fused):
        WeightedMean(layout).add_all([Term(np.zeros(layout.nbytes, np.uint8), 3.0 + n) for n in range(FAN + 3)])
    assert called == [1, FAN - 1, 3]  # the second factor is another, so that the first one's sum is scaled


def test_without_numba_numpy_goes_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "fedactors.aggregation._fused")
    monkeypatch.delattr(aggregation, "_fused")
    assert not _compiled.load()
    assert _compiled.names() == "numpy"
