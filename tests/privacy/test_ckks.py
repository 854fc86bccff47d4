"""CKKS without a wire: parameters, what can be sealed, sums against float64, and what a key is for."""

from __future__ import annotations

import json
import math
import os
import stat

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.aggregation.ckks_sum import HELD_MAX, CkksSum
from fedactors.errors import ConfigError, ModelError
from fedactors.model import DTYPES, GlobalModel, Layout, is_floating
from fedactors.privacy.ckks_cipher import CkksCipher
from fedactors.privacy.ckks_form import Sealed
from fedactors.privacy.ckks_key import CkksKey
from fedactors.privacy.ckks_layout import SealedScope, is_sealed, read
from fedactors.privacy.ckks_parameters import MODULUS_BITS_MAX, NOISE, PRESETS, CkksParameters
from fedactors.privacy.ckks_sealing import CkksSealing
from fedactors.privacy.ckks_stream import HEADER, StreamForm
from fedactors.privacy.sealing import SealingSpec
from tests.privacy import sealed

FLOATS = {"w": np.linspace(-3, 3, 5000, dtype=np.float32).reshape(50, 100), "b": np.float32([0.25, -1e-4, 2.5])}


# ------------------------------------------------------------------------------------------------------------------ parameters


def is_prime(number: int) -> bool:
    """Miller and Rabin's test with the bases that decide it for every number of 64 bits."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        x = pow(base, odd, number)
        if x not in (1, number - 1) and all((x := x * x % number) != number - 1 for _ in range(twos - 1)):
            return False
    return True


@pytest.mark.parametrize("parameters", PRESETS.values(), ids=PRESETS)
def test_a_preset_is_a_prime_within_the_standard_s_bounds(parameters):
    assert is_prime(parameters.modulus)
    assert parameters.modulus % (2 * parameters.degree) == 1
    assert parameters.modulus.bit_length() <= MODULUS_BITS_MAX[parameters.degree]
    assert 2 * parameters.modulus < 2 ** (8 * DTYPES[parameters.word].itemsize)


@pytest.mark.parametrize(("degree", "bits"), [(1024, 31), (2048, 60), (512, 27)])
def test_parameters_that_are_not_128_bit_secure_are_refused(degree, bits):
    with pytest.raises(ConfigError, match="is not 128-bit secure; the standard allows"):
        CkksParameters("own", degree, 2**bits - 1, 10, 1.0, 1.0, 0.1)


def test_parameters_without_room_for_their_range_are_refused():
    good = PRESETS["precise"]
    with pytest.raises(ConfigError, match="have no room for"):
        CkksParameters("own", good.degree, good.modulus, good.scale_bits + 2, good.weight_max, good.factor_max, 0.1)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_noise_is_what_is_said_of_it(preset):
    parameters = PRESETS[preset]
    values = np.random.default_rng(1).normal(size=(4, parameters.degree))
    words, opened = np.empty((4, 2, parameters.degree), parameters.word), np.empty_like(values)
    cipher = CkksCipher(parameters, sealed.key(preset).secret)
    cipher.encrypt(values, words)
    cipher.decrypt(words, opened)
    assert np.std(opened - values) == pytest.approx(parameters.error(1), rel=0.1)
    assert parameters.error(4, 2.0) == pytest.approx(NOISE * math.sqrt(parameters.degree / 2) / parameters.scale)


# ------------------------------------------------------------------------------------------------------------------------ sums


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("learners", [1, 3, 40])
def test_a_sum_of_ciphertexts_opens_to_the_weighted_mean(preset, learners):
    rng, learner = np.random.default_rng(learners), sealed.sealing(preset, 60.0, learners)
    updates = [
        ({name: w + 0.5 * rng.normal(size=w.shape).astype(w.dtype) for name, w in FLOATS.items()}, n)
        for n in range(20, 20 + learners)
    ]
    base = sealed.version_0(FLOATS, learner)
    opened = learner.opened(sealed.combined(base, updates, learner)).weights
    factor = sum(n for _, n in updates) / (60.0 * learners)
    within = 8 * PRESETS[preset].error(learners, factor) + 1e-6
    for name, expected in sealed.mean(updates).items():
        np.testing.assert_allclose(opened[name], expected, atol=within, rtol=2e-7)


def test_a_sum_does_not_depend_on_the_order():
    learner = sealed.sealing(updates=20)
    base = sealed.version_0({"w": np.zeros(10, np.float32)}, learner)
    fold = CkksSum(PRESETS["precise"]).fold(base.layout)
    sent = [
        sealed.contribution(str(n), base.layout.pack(learner.update({"w": np.full(10, n, np.float32)}, n, base)), n)
        for n in range(1, 20)
    ]
    results = []
    for order in (sent, sent[::-1], sorted(sent, key=lambda one: one.learner)):
        for one in order:
            fold.add(one)
        results.append(fold.commit(base).tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("updates", [1, 2, 3, 15, 16, 17, 31, 50])
def test_words_are_added_up_exactly_however_many(preset, updates):
    parameters, rng = PRESETS[preset], np.random.default_rng(updates)
    base = sealed.version_0({"w": np.zeros(5000)}, sealed.sealing(preset, 1.0, updates))
    found, fold = read(base.layout), CkksSum(parameters).fold(base.layout)
    expected = np.zeros(found.words(base.buffer).shape, object)
    for index in range(updates):
        buffer = base.buffer.copy()
        words = found.words(buffer)
        words[:] = rng.integers(0, parameters.modulus, words.shape, words.dtype)
        words[0, 0, :9] = [parameters.modulus - 1] * 8 + [0]
        expected += words.astype(object)
        fold.add(sealed.contribution(f"{index}", buffer, 1.0))
    np.testing.assert_array_equal(found.words(fold.commit(base)), (expected % parameters.modulus).astype(words.dtype))


def test_an_update_that_waits_for_others_is_held_and_no_longer():
    """Whoever lends the buffers may use them again as soon as they are not held."""
    learner = sealed.sealing(updates=6)
    base = sealed.version_0({"w": np.zeros(10, np.float32)}, learner)
    fold = CkksSum(PRESETS["precise"]).fold(base.layout)
    sent = [base.layout.pack(learner.update({"w": np.full(10, n, np.float32)}, 1.0, base)) for n in range(6)]
    for count, buffer in enumerate(sent, 1):
        fold.add(sealed.contribution(f"{count}", buffer, 1.0))
        waiting = count % HELD_MAX
        assert [fold.holds(one) for one in sent[:count]] == [False] * (count - waiting) + [True] * waiting
        for one in sent[: count - waiting]:
            one[:] = 0xFF
    opened = learner.opened(GlobalModel(1, base.layout, fold.commit(base)))
    np.testing.assert_allclose(opened.weights["w"], 2.5, rtol=1e-6)
    assert not any(fold.holds(one) for one in sent)
    fold.add(sealed.contribution("a", sent[0], 1.0))
    fold.abandon()
    assert not fold.holds(sent[0])


def test_an_abandoned_round_and_updates_without_a_share_leave_nothing():
    learner = sealed.sealing()
    base = sealed.version_0({"w": np.zeros(3, np.float32)}, learner)
    fold = CkksSum(PRESETS["precise"]).fold(base.layout)
    update = base.layout.pack(learner.update({"w": np.ones(3, np.float32)}, 1.0, base))
    fold.add(sealed.contribution("a", update, 1.0))
    fold.abandon()
    fold.add(sealed.contribution("b", update, 0.0))
    with pytest.raises(ModelError, match="the updates' factors sum to zero: b"):
        fold.commit(base)
    opened = learner.opened(sealed.combined(base, [({"w": np.full(3, 2, np.float32)}, 1.0)], learner, fold))
    np.testing.assert_allclose(opened.weights["w"], 2, rtol=1e-6)


@settings(max_examples=10)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(DTYPES)), st.lists(st.integers(0, 5), max_size=3)), min_size=1, max_size=5),
    st.lists(st.integers(1, 50), min_size=1, max_size=4),
    st.integers(0, 2**32),
)
def test_every_layout_is_sealed_and_opened(tensors, factors, seed):
    rng, learner = np.random.default_rng(seed), sealed.sealing(reference=25.0, updates=len(factors))
    specs = [(f"t{index}", dtype, tuple(shape)) for index, (dtype, shape) in enumerate(tensors)]
    layout = Layout.from_specs(specs)
    if layout.num_parameters == 0:
        return
    updates = [({name: drawn(rng, dtype, shape) for name, dtype, shape in specs}, float(factor)) for factor in factors]
    base = sealed.version_0(updates[0][0], learner)
    model = learner.opened(sealed.combined(base, updates, learner))
    assert model.layout.specs == layout.specs
    for tensor in layout.tensors:
        exact, got = sealed.mean(updates)[tensor.name], model.weights[tensor.name].astype(np.float64)
        if tensor.dtype == "bool":
            apart = np.abs(exact - 0.5) > 1e-6
            np.testing.assert_array_equal(got[apart], exact[apart] > 0.5)
        else:
            step = float(ml_dtypes.finfo(DTYPES[tensor.dtype]).eps) * 100 if is_floating(tensor.dtype) else 0.5
            np.testing.assert_allclose(got, exact, atol=step + 1e-6, rtol=0)


def drawn(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values that this dtype holds exactly."""
    if dtype == "bool":
        return rng.random(shape) < 0.5
    return rng.integers(0, 100, shape).astype(DTYPES[dtype])


# ------------------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_sealed(bad):
    with pytest.raises(ModelError, match="tensor 'b' holds NaN or an infinity, which cannot be sealed"):
        sealed.sealing().initial({"w": np.zeros(2), "b": np.array([0.0, bad])}, 1)


@pytest.mark.parametrize(("preset", "value"), [("fast", 8.1), ("precise", -40_000.0)])
def test_a_weight_beyond_the_range_is_named(preset, value):
    with pytest.raises(ModelError, match=r"tensor 'w' holds a value of magnitude .* and CKKS seals up to"):
        sealed.sealing(preset).initial({"w": np.array([value])}, 1)


def test_factors_far_from_what_was_expected_are_refused_with_the_remedy():
    learner = sealed.sealing(reference=10.0)
    base = sealed.version_0({"w": np.ones(3)}, learner)
    with pytest.raises(ModelError, match=r"factor is 200 times .* write the mean factor as secure\.options\.reference"):
        learner.update({"w": np.ones(3)}, 2000.0, base)
    for factors in ([1000.0, 1000.0], [0.01]):
        with pytest.raises(ModelError, match=r"write the mean factor of an update as secure\.options\.reference"):
            sealed.combined(base, [({"w": np.ones(3)}, factor) for factor in factors], learner)


def test_the_greatest_weights_and_factors_do_not_wrap_around():
    parameters = PRESETS["precise"]
    learner = sealed.sealing(reference=1.0)
    weights = {"w": np.where(np.arange(6000) % 3, parameters.weight_max, -parameters.weight_max)}
    base = sealed.version_0(weights, learner)
    opened = learner.opened(sealed.combined(base, [(weights, 64.0), (weights, 64.0)], learner))
    np.testing.assert_allclose(opened.weights["w"], weights["w"], rtol=1e-9)


def test_ciphertexts_that_are_none_are_refused():
    learner = sealed.sealing()
    base = sealed.version_0({"w": np.ones(5000, np.float32)}, learner)
    form, found = Sealed(PRESETS["precise"]), read(base.layout)
    good = base.layout.pack(learner.update({"w": np.ones(5000, np.float32)}, 1.0, base))
    assert form.problem(good, base.layout) is None
    too_great, no_factor = good.copy(), good.copy()
    found.words(too_great)[1, 1, -1] = PRESETS["precise"].modulus
    found.factor(no_factor)[0] = np.nan
    assert (
        form.problem(too_great, base.layout) == "a coefficient of its ciphertexts is not below the modulus, 1152921504606830593"
    )
    assert "its factor is nan" in form.problem(no_factor, base.layout)
    with pytest.raises(ModelError, match="no ciphertext"):
        learner.opened(GlobalModel(1, base.layout, too_great))


def test_a_model_that_is_not_sealed_is_no_version_of_a_sealed_federation():
    scope, plain = SealedScope(preset="precise"), sealed.as_model({"w": np.ones(3)})
    assert not is_sealed(plain.layout)
    assert "not sealed with CKKS as it should be" in scope.problem(plain.layout)
    fast = sealed.version_0({"w": np.ones(3)}, sealed.sealing("fast"))
    assert "sealed with preset 'fast', and secure.options.preset is 'precise'" in scope.problem(fast.layout)
    good = sealed.version_0({"w": np.ones(3)}, sealed.sealing())
    assert scope.problem(good.layout) is None
    assert scope.num_parameters(good.layout) == 3
    with pytest.raises(ModelError, match="the model is not sealed"):
        sealed.sealing().opened(plain)


@pytest.mark.parametrize(
    "name",
    [
        "ckks/",
        "ckks/precise/k/0x1p+0/5/coefficients/x",
        "ckks/slow/k/0x1p+0/5/coefficients",
        "ckks/precise/k/nan/5/coefficients",
        "ckks/precise/k/0x1p+99999/5/coefficients",
        "ckks/precise/k/0x1p+0/-5/coefficients",
        "ckks/precise/k/0x1p+0/99999/coefficients",
    ],
)
def test_a_name_that_lies_is_no_sealed_layout(name):
    with pytest.raises(ModelError, match="not sealed with CKKS as it should be"):
        read(
            Layout.from_specs([(name, "uint64", (1, 2, 4096)), ("ckks/factor", "float64", (1,)), ("ckks/tensors", "uint8", (9,))])
        )


@pytest.mark.parametrize("lie", [b"[]", b"nonsense", b'[["w","float32",[4]]]', b'[["w","float32",3]]', b"[" * 19])
def test_a_list_of_tensors_that_lies_is_an_error(lie):
    base = sealed.version_0({"w": np.ones(3, np.float32)}, sealed.sealing())
    buffer = base.buffer.copy()
    read(base.layout).tensors(buffer)[:] = np.frombuffer(lie.ljust(read(base.layout).tensors_bytes), np.uint8)
    with pytest.raises(ModelError):
        sealed.sealing().opened(GlobalModel(0, base.layout, buffer))


# ------------------------------------------------------------------------------------------------------------------------ keys


def test_another_key_opens_nothing():
    base = sealed.version_0(FLOATS, sealed.sealing())
    with pytest.raises(ModelError, match=f"sealed with the CKKS key {sealed.key().fingerprint}, and this one is"):
        sealed.stranger().opened(base)
    words = read(base.layout).words(base.buffer)
    opened = np.empty((len(words), 4096))
    CkksCipher(PRESETS["precise"], sealed.stranger().secret).decrypt(words, opened)
    exact = np.concatenate([w.ravel() for w in FLOATS.values()])
    assert abs(np.corrcoef(opened.ravel()[: exact.size], exact)[0, 1]) < 0.06  # four standard deviations of nothing at all
    assert np.median(np.abs(opened)) > 1000 * np.abs(exact).max()


def test_coefficients_look_like_chance_whatever_they_hold():
    """Chi squared over 64 bins of both polynomials' 4096 coefficients: 63 expected, 11 its standard deviation."""
    modulus, learner = PRESETS["precise"].modulus, sealed.sealing()
    for value in (0.0, 1.0, 30_000.0):
        model = sealed.version_0({"w": np.full(4096, value)}, learner)
        for polynomial in read(model.layout).words(model.buffer)[0]:
            counts = np.histogram(polynomial / modulus, bins=64, range=(0, 1))[0]
            assert ((counts - 64) ** 2 / 64).sum() < 63 + 6 * 11


def test_the_same_weights_are_sealed_differently_each_time():
    learner = sealed.sealing()
    first, second = (sealed.version_0({"w": np.zeros(4096)}, learner) for _ in range(2))
    assert (read(first.layout).words(first.buffer) == read(second.layout).words(second.buffer)).mean() < 0.001


def test_a_key_s_file_is_its_owner_s_alone(tmp_path):
    path = tmp_path / "key"
    sealed.key().write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert CkksKey.read(path) == sealed.key()
    with pytest.raises(ConfigError, match="exists already"):
        sealed.stranger().write(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others than its owner: chmod 600"):
        CkksKey.read(path)


def test_a_key_tells_nothing_of_itself_but_its_fingerprint():
    assert repr(sealed.key()) == f"CkksKey(preset='precise', fingerprint='{sealed.key().fingerprint}')"


@pytest.mark.parametrize("change", [{"preset": "slow"}, {"kind": "something"}, {"secret": "AAAA"}, {"secret": 3}, {"key": ""}])
def test_a_file_that_is_no_key_is_refused(tmp_path, change):
    path = tmp_path / "key"
    sealed.key().write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigError, match="is no CKKS key"):
        CkksKey.read(path)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (SealingSpec("paper"), "the federation seals by 'paper', and this learner's key is for 'ckks'"),
        (SealingSpec("ckks", {"preset": "fast"}), "seals with CKKS preset 'fast', and this learner's key is for 'precise'"),
        (SealingSpec("ckks", {"preset": "precise", "reference": -1.0, "updates": 1}), "reference -1.0"),
        (SealingSpec("ckks", {"preset": "precise", "updates": 0}), "sums of 0 updates"),
    ],
)
def test_a_key_seals_only_what_it_is_for(spec, said):
    with pytest.raises(ConfigError, match=said):
        CkksSealing.agreed(sealed.key(), spec)


def test_another_form_of_seal_s_is_refused_before_anything_is_sealed(monkeypatch):
    monkeypatch.setattr(StreamForm, "words", lambda form, stream: np.zeros(form._shape, np.uint64))
    with pytest.raises(ConfigError, match=r"TenSEAL writes ciphertexts in another way \(two ciphertexts that are"):
        CkksKey.draw("precise")


def test_a_stream_that_is_no_ciphertext_is_told():
    with pytest.raises(ModelError, match="a ciphertext with a header of 17 bytes"):
        StreamForm(HEADER.pack(0xA15E, 17, 4, 3, 2, 0, 100).ljust(100, b"x"), 4096)


def test_without_files_in_memory_nothing_is_sealed(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(ConfigError, match="CKKS needs files in memory, which Linux has"):
        CkksKey.draw("precise")


def test_a_preset_that_does_not_exist_has_no_key():
    with pytest.raises(ConfigError, match="no CKKS preset named 'slow'"):
        CkksKey.draw("slow")
