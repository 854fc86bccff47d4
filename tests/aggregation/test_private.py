"""Central differential privacy: clipping against an oracle, a denominator that stays, noise as large as it is said to be."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import stats

from fedactors.actors.compute import Threads
from fedactors.aggregation import Contribution, Ordered
from fedactors.aggregation.fedadam import FedAdam
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.lanes import working_in
from fedactors.aggregation.private import COUNT_STRETCH, Private
from fedactors.aggregation.server import ServerStep
from fedactors.dp.clipping import Adaptive
from fedactors.dp.noise import Gaussian, Noise, SeededNoise
from fedactors.errors import ConfigError, ModelError
from fedactors.model import GlobalModel, Layout, is_floating
from tests.aggregation.layouts import EVERY_DTYPE, ROUNDING, drawn, sent

NEARLY_NONE = 1e-13
"""A noise multiplier that leaves the clipped mean to be seen."""


def rule(clip_norm=1.0, noise_multiplier=NEARLY_NONE, cohort=4, seed="a test", **options):
    return Private(clip_norm, noise_multiplier, cohort, noise=SeededNoise(seed), **options)


def vector(*values: float) -> np.ndarray:
    return LAYOUT.pack({"w": np.array(values)})


LAYOUT = Layout.from_specs([("w", "float64", (2,))])
ZERO = GlobalModel(0, LAYOUT, vector(0.0, 0.0))


def from_zero(learner: str, *values: float, factor: float = 1.0) -> Contribution:
    return Contribution(learner, vector(*values), factor, base=ZERO.buffer)


def committed(rule, *contributions, current=ZERO):
    fold = rule.fold(current.layout)
    for contribution in contributions:
        fold.add(contribution)
    return current.layout.views(fold.commit(current))


FLOATING = [tensor for tensor in EVERY_DTYPE.tensors if is_floating(tensor.dtype)]


def flat(buffer):
    """The floating-point tensors of EVERY_DTYPE."""
    views = EVERY_DTYPE.views(buffer)
    return np.concatenate([views[tensor.name].astype(np.float64) for tensor in FLOATING])


def of_dtype(dtype):
    return np.concatenate([np.full(tensor.shape, tensor.dtype == dtype) for tensor in FLOATING])


@pytest.mark.parametrize("seed", range(4))
def test_clipping_is_that_of_float64_over_all_floating_tensors(seed):
    rng = np.random.default_rng(seed)
    current = GlobalModel(0, EVERY_DTYPE, drawn(EVERY_DTYPE, rng))
    updates = [sent(EVERY_DTYPE, rng) for _ in range(8)]
    contributions = [Contribution(f"l{index}", update, 1.0, base=current.buffer) for index, update in enumerate(updates)]
    deltas = [flat(update) - flat(current.buffer) for update in updates]
    norms = [np.linalg.norm(delta) for delta in deltas]
    clip_norm = float(np.median(norms))
    result = committed(rule(clip_norm, cohort=10), *contributions, current=current)
    expected = flat(current.buffer) + sum(d * min(1.0, clip_norm / norm) for d, norm in zip(deltas, norms, strict=True)) / 10
    off = np.abs(flat(EVERY_DTYPE.pack(result)) - expected) / np.maximum(np.abs(expected), 1e-3)
    for dtype, limit in ROUNDING.items():
        assert off[of_dtype(dtype)].max() <= max(2 * limit, 1e-8)


def test_integers_and_bools_stay_what_they_are():
    rng = np.random.default_rng(1)
    current = GlobalModel(0, EVERY_DTYPE, drawn(EVERY_DTYPE, rng))
    result = committed(rule(), Contribution("a", sent(EVERY_DTYPE, rng), 1.0, base=current.buffer), current=current)
    kept = [t for t in EVERY_DTYPE.tensors if not is_floating(t.dtype)]
    assert kept
    assert all(np.array_equal(result[t.name], EVERY_DTYPE.views(current.buffer)[t.name]) for t in kept)


def test_the_sum_is_divided_by_the_expected_number_whatever_comes():
    one = committed(rule(cohort=4), from_zero("a", 0.6, 0.0))["w"]
    four = committed(rule(cohort=4), *(from_zero(learner, 0.6, 0.0) for learner in "abcd"))["w"]
    assert one[0] == pytest.approx(0.15)
    assert four[0] == pytest.approx(0.6)


def test_one_learner_moves_a_version_by_the_clip_norm_over_the_cohort_at_most():
    others = [from_zero(learner, 0.1, 0.7) for learner in "bc"]
    for values in ((1e9, -1e9), (np.nan, 1.0), (np.inf, 0.0), (0.5, 0.5)):
        with_it = committed(rule(), from_zero("a", *values), *others)["w"]
        without = committed(rule(), from_zero("a", 0.0, 0.0), *others)["w"]
        assert np.linalg.norm(with_it - without) <= 1.0 / 4 + 1e-9


def test_a_learner_counts_once_in_a_round():
    twice = committed(rule(), from_zero("a", 0.6, 0.0), from_zero("a", 0.6, 0.0))["w"]
    assert twice[0] == pytest.approx(0.15)
    fold = rule().fold(LAYOUT)
    for _ in range(2):
        fold.add(from_zero("a", 0.6, 0.0))
        assert LAYOUT.views(fold.commit(ZERO))["w"][0] == pytest.approx(0.15)


def test_a_stale_update_counts_less_and_from_its_own_base():
    base = vector(5.0, 5.0)
    late = Contribution("a", vector(5.6, 5.0), 0.5, staleness=1, discount=0.5, base=base)
    assert committed(rule(server_learning_rate=2.0), late)["w"] == pytest.approx([2 * 0.5 * 0.6 / 4, 0.0], abs=1e-9)


def test_the_noise_has_the_deviation_it_is_said_to_have():
    number, clip, multiplier, cohort = 300_000, 0.5, 1.1, 8
    layout = Layout.from_specs([("w", "float32", (number - 1000,)), ("b", "float32", (1000,))])
    current = GlobalModel(0, layout, np.zeros(layout.nbytes, np.uint8))
    nothing = Contribution("a", current.buffer, 1.0, base=current.buffer)
    result = committed(rule(clip, multiplier, cohort), nothing, current=current)
    noise = np.concatenate([result["w"], result["b"]]).astype(np.float64)
    deviation = multiplier * clip / cohort
    low, high = stats.chi2.interval(1 - 1e-6, number)
    assert low < np.dot(noise, noise) / deviation**2 < high
    assert abs(noise.mean()) < stats.norm.isf(5e-7) * deviation / math.sqrt(number)
    assert stats.kstest(noise / deviation, "norm").pvalue > 1e-6


def test_what_is_released_lies_on_a_grid_that_does_not_depend_on_the_updates():
    released = committed(rule(noise_multiplier=1.0, cohort=1), from_zero("a", 0.3, 0.1 + 1e-13))["w"] * 2.0**20
    assert np.array_equal(released, np.rint(released))


def test_each_version_has_noise_of_its_own_and_a_repeated_one_too():
    fold = Private(1.0, 1.0, 1).fold(LAYOUT)
    seen = []
    for _ in range(3):
        fold.add(from_zero("a", 0.0, 0.0))
        seen += LAYOUT.views(fold.commit(ZERO))["w"].tolist()
    assert len(set(seen)) == 6


def test_threads_change_no_bit():
    layout = Layout.from_specs([("w", "float32", (1_200_000,))])
    current = GlobalModel(0, layout, np.zeros(layout.nbytes, np.uint8))
    update = Contribution("a", layout.pack({"w": np.full(1_200_000, 1e-3, np.float32)}), 1.0, base=current.buffer)
    alone = committed(rule(noise_multiplier=1.0), update, current=current)["w"]
    with ThreadPoolExecutor(2) as executor, working_in(Threads(executor, 2)):
        shared = committed(rule(noise_multiplier=1.0), update, current=current)["w"]
    assert np.array_equal(alone, shared)


def test_a_round_without_updates_is_no_release():
    fold = rule().fold(LAYOUT)
    with pytest.raises(ModelError, match="nothing to combine"):
        fold.commit(ZERO)
    fold.add(from_zero("a", 0.6, 0.0))
    fold.abandon()
    fold.add(from_zero("b", 0.2, 0.0))
    assert LAYOUT.views(fold.commit(ZERO))["w"][0] == pytest.approx(0.05)


def test_a_server_optimiser_steps_along_what_was_released():
    private = rule(noise_multiplier=1.0)
    contributions = [from_zero(learner, 0.6, -0.2) for learner in "abcd"]
    released = committed(private, *contributions)
    stepped = committed(ServerStep(FedAdam(), private), *contributions)
    same = committed(ServerStep(FedAdam(), FedAvg()), Contribution("all", LAYOUT.pack(released), 1.0))
    assert np.allclose(stepped["w"], same["w"], rtol=1e-12)


class Counting(Noise):
    """Noise of nothing, but for the count's, of a known size."""

    def release(self, number: int) -> Gaussian:
        class Fixed(Gaussian):
            def fill(self, out, stretch):
                out[...] = 0.25 if stretch == COUNT_STRETCH else 0.0

        return Fixed(bytes(32))


def test_the_clip_norm_adapts_by_the_papers_formula():
    fold = Private(1.0, 1.0, 4, adaptive=Adaptive(0.5, 0.2, 2.0), noise=Counting()).fold(LAYOUT)
    for learner, length in (("a", 0.5), ("b", 0.9), ("c", 1.0), ("d", 3.0)):
        fold.add(from_zero(learner, length, 0.0))
    fold.commit(ZERO)
    share = (3 + 2.0 * 0.25) / 4
    assert fold.clip_norm == pytest.approx(math.exp(-0.2 * (share - 0.5)), rel=1e-6)


def test_the_clip_norm_finds_the_median_of_the_norms():
    fold = rule(0.1, 1.0, 50, adaptive=Adaptive(0.5, 0.2, 2.5)).fold(LAYOUT)
    norms, rng, tail = np.linspace(1.0, 9.0, 50), np.random.default_rng(2), []
    for number in range(100):
        for learner, norm in enumerate(rng.permutation(norms)):
            fold.add(from_zero(f"l{learner}", norm, 0.0))
        fold.commit(GlobalModel(number, LAYOUT, ZERO.buffer))
        tail += [fold.clip_norm] if number >= 50 else []
    assert np.mean(tail) == pytest.approx(5.0, rel=0.05)


def test_an_adapted_clip_norm_is_kept_with_the_version():
    adapts = Adaptive(0.5, 0.2, 2.0)
    folds = [Ordered(rule(adaptive=adapts, noise_multiplier=1.0)).fold(LAYOUT) for _ in range(2)]
    folds[0].add(from_zero("a", 0.1, 0.0))
    folds[0].commit(ZERO)
    folds[1].restore(folds[0].state())
    for fold in folds:
        fold.add(from_zero("a", 9.0, 0.0))
    first, second = (fold.commit(GlobalModel(1, LAYOUT, ZERO.buffer)) for fold in folds)
    assert np.array_equal(first, second)


def test_a_clip_norm_that_stays_needs_no_state():
    assert not rule().fold(LAYOUT).state()


@pytest.mark.parametrize(
    ("clip", "noise", "said"), [(0.0, 1.0, "dp.clip_norm is 0.0"), (1.0, -1.0, "dp.noise_multiplier is -1.0")]
)
def test_numbers_that_protect_nobody_are_refused(clip, noise, said):
    with pytest.raises(ConfigError, match=said):
        Private(clip, noise, 4)
