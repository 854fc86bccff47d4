"""When kernels are compiled, and that nobody is the worse for it."""

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedactors.actors import compiling
from fedactors.actors.compute import Compute, Threads
from fedactors.aggregation import _compiled


@pytest.fixture
def loads(monkeypatch):
    """How often kernels were loaded, and whether garbage was collected meanwhile; nothing is compiled."""
    seen = []
    compiling.begin.cache_clear()
    monkeypatch.setattr(_compiled, "load", lambda: seen.append(gc.isenabled()))
    yield seen
    compiling.begin.cache_clear()


async def test_kernels_are_compiled_once_and_only_for_a_large_model(loads):
    with ThreadPoolExecutor(1) as executor:
        compute, nbytes = Compute(Threads(executor, 2)), compiling.COMPILED_BYTES_MIN
        assert await compute.run(nbytes - 1, lambda: 1) == 1
        assert not loads
        assert [await compute.run(nbytes, lambda: 2) for _ in range(3)] == [2, 2, 2]
    compiling.begin().join()
    assert loads == [False]
    assert gc.isenabled()


async def test_in_virtual_time_nothing_is_compiled(loads):
    assert await Compute().run(10 * compiling.COMPILED_BYTES_MIN, lambda: 1) == 1
    assert not loads


def test_kernels_that_cannot_be_compiled_are_a_line_in_the_log(loads, monkeypatch, caplog):
    def load():
        raise RuntimeError("this numba knows no such processor")

    monkeypatch.setattr(_compiled, "load", load)
    compiling.begin().join()
    assert "this numba knows no such processor" in caplog.text
    assert gc.isenabled()
