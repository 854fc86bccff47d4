"""Where heavy arithmetic runs, and over how many threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedactors.actors.compute import INLINE_BYTES_MAX, Compute, Threads
from fedactors.aggregation.lanes import SHARED_MIN, share_out

WAIT_S = 30


def threads_at_work(items):
    """The threads that work on so many items at once: as many, or nobody gets through."""
    barrier, at_work = threading.Barrier(items), []

    def work(_):
        barrier.wait(WAIT_S)
        at_work.append(threading.current_thread())

    share_out(work, range(items), SHARED_MIN)
    return set(at_work)


async def test_large_work_is_shared_out_over_the_threads():
    with ThreadPoolExecutor(2) as executor:
        at_work = await Compute(Threads(executor, 2)).run(INLINE_BYTES_MAX, threads_at_work, 2)
    assert len(at_work) == 2
    assert threading.current_thread() not in at_work


@pytest.mark.parametrize("threads", [None, 2])
async def test_small_work_and_work_without_threads_is_done_in_place(threads):
    with ThreadPoolExecutor(2) as executor:
        compute = Compute(None if threads is None else Threads(executor, threads))
        nbytes = 10 * INLINE_BYTES_MAX if threads is None else INLINE_BYTES_MAX - 1
        assert await compute.run(nbytes, threading.current_thread) is threading.current_thread()


def test_every_item_is_worked_on_once_by_however_many_threads():
    with ThreadPoolExecutor(3) as executor:
        for number in (1, 2, 3, 8):
            done = []
            Threads(executor, number).each(done.append, range(1000))
            assert sorted(done) == list(range(1000))


def test_lanes_that_find_no_idle_thread_are_done_without():
    free = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(free.wait, WAIT_S)
        done = []
        Threads(executor, 2).each(done.append, [1, 2, 3])
        free.set()
    assert done == [1, 2, 3]


@pytest.mark.parametrize("fails", [0, 1])
def test_an_items_error_is_raised_when_nothing_is_at_work_any_more(fails):
    barrier, left = threading.Barrier(2), []

    def work(item):
        barrier.wait(WAIT_S)
        if item == fails:
            raise ArithmeticError(item)
        left.append(item)

    with ThreadPoolExecutor(1) as executor, pytest.raises(ArithmeticError):
        Threads(executor, 2).each(work, [0, 1])
    assert left == [1 - fails]
