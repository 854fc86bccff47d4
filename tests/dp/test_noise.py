"""The noise is normal, of the right size, fresh, and on its grid."""

import threading

import numpy as np
import pytest
from scipy import stats

from fedactors.dp.noise import STRETCHES_MAX, Gaussian, SecureNoise, SeededNoise, grid

NUMBER = 400_000
CHANCE = 1e-6
"""Of a test that fails although the noise is normal, if it were not seeded."""


def drawn(gaussian: Gaussian, number: int = NUMBER, stretch: int = 0) -> np.ndarray:
    out = np.empty(number)
    gaussian.fill(out, stretch)
    return out


NORMALS = drawn(SeededNoise("a test").release(1))


def test_the_mean_is_zero_and_the_variance_one():
    assert abs(NORMALS.mean()) < stats.norm.isf(CHANCE / 2) / np.sqrt(NUMBER)
    low, high = stats.chi2.interval(1 - CHANCE, NUMBER)
    assert low < np.dot(NORMALS, NORMALS) < high


def test_the_distribution_is_normal_in_its_tails_too():
    assert stats.kstest(NORMALS, "norm").pvalue > CHANCE
    beyond = np.count_nonzero(np.abs(NORMALS) > 3)
    assert stats.binomtest(beyond, NUMBER, 2 * stats.norm.sf(3)).pvalue > CHANCE


def test_neighbours_are_not_correlated():
    for lag in (1, NUMBER // 2):
        assert abs(np.dot(NORMALS[:-lag], NORMALS[lag:])) < stats.norm.isf(CHANCE / 2) * np.sqrt(NUMBER - lag)


def test_stretches_differ_and_each_is_the_same_whenever_it_is_drawn():
    gaussian = SeededNoise("a test").release(1)
    assert np.array_equal(drawn(gaussian, 1000, 7), drawn(gaussian, 1000, 7))
    assert not np.intersect1d(drawn(gaussian, 1000, 7), drawn(gaussian, 1000, STRETCHES_MAX - 1)).size


def test_secure_noise_is_new_for_every_release_even_of_the_same_number():
    assert not np.intersect1d(drawn(SecureNoise().release(1), 1000), drawn(SecureNoise().release(1), 1000)).size


def test_seeded_noise_differs_by_release_and_seed():
    releases = [drawn(noise.release(number), 100) for noise in (SeededNoise("a"), SeededNoise("b")) for number in (1, 2)]
    assert np.unique(releases).size == 400
    assert np.array_equal(releases[0], drawn(SeededNoise("a").release(1), 100))


def test_threads_draw_what_one_thread_draws():
    gaussian, found = SeededNoise("a test").release(1), [np.empty(50_000) for _ in range(4)]
    threads = [threading.Thread(target=gaussian.fill, args=(out, stretch)) for stretch, out in enumerate(found)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(out, drawn(gaussian, out.size, stretch)) for stretch, out in enumerate(found))


@pytest.mark.parametrize(("deviation", "step"), [(1.0, 2.0**-20), (1.9, 2.0**-20), (0.3, 2.0**-22), (6.0, 2.0**-18)])
def test_the_grid_is_a_power_of_two_a_millionth_of_the_deviation(deviation, step):
    assert grid(deviation) == step
