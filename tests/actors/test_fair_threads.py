"""Threads of several parties: in turn, all of them for one that is alone, and a party that ends leaves nothing behind."""

from __future__ import annotations

import threading
from concurrent.futures import wait

import pytest

from fedactors.actors.compute import INLINE_BYTES_MAX, Compute, Threads
from fedactors.actors.fair_threads import FairThreads
from fedactors.aggregation.lanes import SHARED_MIN, share_out

WAIT_S = 30


@pytest.fixture
def one():
    threads = FairThreads(1)
    yield threads
    threads.close()


def held_up(party):
    """Keep the only thread busy; what lets it go."""
    begun, free = threading.Event(), threading.Event()
    party.submit(lambda: (begun.set(), free.wait(WAIT_S)))
    assert begun.wait(WAIT_S)
    return free


def test_one_with_much_work_has_a_turn_and_then_the_others_have(one):
    busy, small, other = one.party(), one.party(), one.party()
    free, done = held_up(busy), []
    much = [busy.submit(done.append, f"busy {n}") for n in range(3)]
    little = [party.submit(done.append, name) for party, name in ((small, "small"), (other, "other"))]
    free.set()
    wait(much + little, WAIT_S)
    assert done == ["busy 0", "small", "other", "busy 1", "busy 2"]


def test_results_and_errors_are_their_callers(one):
    party = one.party()
    assert party.submit(divmod, 7, 2).result(WAIT_S) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        party.submit(divmod, 7, 0).result(WAIT_S)
    assert party.submit(int, "3", base=8).result(WAIT_S) == 3


def test_what_waits_of_a_party_that_ends_is_cancelled_and_the_others_go_on(one):
    ending, staying = one.party(), one.party()
    free = held_up(staying)
    waiting, after = ending.submit(int), staying.submit(int, "5")
    with ending:
        pass
    assert waiting.cancelled()
    free.set()
    assert after.result(WAIT_S) == 5
    with pytest.raises(RuntimeError, match="no work any more"):
        ending.submit(int)


def test_a_call_that_nobody_wants_any_more_is_not_made(one):
    party, done = one.party(), []
    free = held_up(party)
    unwanted, wanted = party.submit(done.append, 1), party.submit(done.append, 2)
    assert unwanted.cancel()
    free.set()
    wanted.result(WAIT_S)
    assert done == [2]


async def test_a_party_alone_has_every_thread_for_one_fold():
    threads = FairThreads(2)
    barrier, at_work = threading.Barrier(2), set()

    def work(_):
        barrier.wait(WAIT_S)
        at_work.add(threading.current_thread())

    compute = Compute(Threads(threads.party(), threads.number))
    await compute.run(INLINE_BYTES_MAX, share_out, work, range(2), SHARED_MIN)
    threads.close()
    assert len(at_work) == 2
