"""Places for uploads: how many, for whom, and what becomes of the slow and the interrupted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.actors.receive_memory import ReceiveMemory
from fedactors.actors.upload_slots import PATIENCE_S, Loan, UploadSlots, Wish
from fedactors.protocol import BufferPool

NBYTES = 8
LATE_S = PATIENCE_S + 1.0
A, B = ("task-a", b"1"), ("task-b", b"1")


class Asker:
    """Stands where a deferred reply stands."""

    def __init__(self):
        self.gone = False

    def done(self):
        return self.gone

    def reject(self, error):
        self.gone, self.error = True, error


class Slots(UploadSlots):
    """With a way to ask for one place."""

    def ask(self, learner="anna", upload=None, nbytes=NBYTES):
        wish = Wish(learner, nbytes, upload, Asker())
        self.wish(wish)
        return wish

    def granted(self, now_s=0.0):
        """Everything that can be lent now, by learner."""
        grants = {}
        while (grant := self.next(now_s)) is not None:
            grants[grant[0].learner] = grant[1]
        return grants


def slots(places=2):
    return Slots(places, BufferPool())


def test_so_many_are_lent_at_a_time_and_the_next_when_one_is_back():
    some = slots(2)
    for learner in "abc":
        some.ask(learner)
    grants = some.granted()
    assert set(grants) == {"a", "b"}
    assert some.over(grants["a"].buffer, 0.0)
    assert set(some.granted()) == {"c"}
    assert some.lent == 2


def test_a_buffer_that_was_not_lent_here_changes_nothing():
    some = slots(1)
    assert not some.over(np.zeros(NBYTES, np.uint8), 0.0)
    assert not some.park(A, Loan(np.zeros(NBYTES, np.uint8), 4), 0.0)
    some.ask("a")
    some.ask("b")
    assert set(some.granted()) == {"a"}


def test_who_does_not_wait_any_more_gets_nothing():
    some = slots(1)
    some.ask("a").reply.gone = True
    some.ask("b")
    assert set(some.granted()) == {"b"}


def test_a_model_that_no_memory_holds_is_refused_and_holds_up_nobody():
    some = slots(1)
    huge = some.ask("huge", nbytes=2**60)
    some.ask("b")
    assert set(some.granted()) == {"b"}
    assert str(huge.reply.error) == "there is no memory here for a model of 1,152,921,504,606,846,976 bytes"


def test_an_overdue_upload_makes_room_for_those_who_wait_and_keeps_its_buffer():
    some = slots(1)
    some.ask("slow")
    some.ask("quick")
    slow = some.granted()["slow"]
    some.make_room(PATIENCE_S - 0.1)
    assert some.granted(PATIENCE_S - 0.1) == {}
    assert some.overdue_s() == pytest.approx(PATIENCE_S, abs=0.01)
    some.make_room(LATE_S)
    quick = some.granted(LATE_S)["quick"]
    assert quick.buffer is not slow.buffer
    assert some.lent == 2


def test_nobody_moves_while_nobody_waits():
    some = slots(1)
    some.ask("slow")
    some.granted()
    assert some.overdue_s() is None
    some.make_room(LATE_S)
    some.ask("quick")
    assert some.granted(LATE_S) == {}, "the place is taken until somebody looks"
    some.make_room(LATE_S)
    assert set(some.granted(LATE_S)) == {"quick"}


def test_large_models_are_given_the_time_that_they_take():
    some = slots(1)
    some.ask("large", nbytes=50_000_000)
    some.granted()
    some.ask("other")
    assert some.overdue_s() == pytest.approx(PATIENCE_S + 5.0)


def test_the_known_slow_never_take_the_places_of_the_quick():
    some, slow = slots(1), [f"slow {number}" for number in range(5)]
    for learner in slow:
        some.ask(learner)
        some.over(some.granted()[learner].buffer, LATE_S)
    for learner in slow:
        some.ask(learner)
    assert set(some.granted()) == {"slow 0"}
    some.ask("quick")
    assert set(some.granted()) == {"quick"}


def test_a_slow_learner_that_was_in_time_is_quick_again():
    some = slots(1)
    some.ask("a")
    some.over(some.granted()["a"].buffer, LATE_S)
    some.ask("a")
    some.over(some.granted()["a"].buffer, PATIENCE_S / 2)
    some.ask("b")
    some.ask("a")
    assert set(some.granted()) == {"b"}, "they wait in one line"


def test_with_no_room_among_the_slow_the_quick_wait_until_one_is_through():
    some = slots(1)
    for learner in "abc":
        some.ask(learner)
    a = some.granted()["a"]
    some.make_room(LATE_S)
    assert set(some.granted(LATE_S)) == {"b"}
    some.make_room(2 * LATE_S)
    assert some.granted(2 * LATE_S) == {}
    assert some.overdue_s() is None
    some.over(a.buffer, 3 * LATE_S)
    some.make_room(3 * LATE_S)
    assert set(some.granted(3 * LATE_S)) == {"c"}


def test_an_interrupted_upload_takes_no_place_and_goes_on_where_it_was():
    some = slots(1)
    some.ask("a", A)
    loan = some.granted()["a"]
    assert some.park(A, Loan(loan.buffer, 5), 0.0)
    some.ask("b", B)
    other = some.granted()["b"]
    assert other.buffer is not loan.buffer
    some.over(other.buffer, 0.0)
    some.ask("a", A)
    again = some.granted()["a"]
    assert (again.buffer is loan.buffer, again.received_bytes) == (True, 5)
    some.over(again.buffer, 0.0)
    some.ask("a", A)
    assert some.granted()["a"].received_bytes == 0


def test_other_bytes_for_the_same_task_begin_anew():
    some = slots(2)
    some.ask("a", A)
    some.park(A, Loan(some.granted()["a"].buffer, 5), 0.0)
    some.ask("a", (A[0], b"2"))
    assert some.granted()["a"].received_bytes == 0


def test_parked_bytes_give_way_when_the_memory_is_needed():
    some = slots(1)
    for upload in (A, B):
        some.ask("a", upload)
        some.park(upload, Loan(some.granted()["a"].buffer, 5), 0.0)
    some.ask("c")
    some.granted()
    some.make_room(0.0)
    some.ask("b", B)
    some.over(next(iter(some._taken.values())).buffer, 0.0)
    assert some.granted()["b"].received_bytes == 5, "the oldest went first"


@settings(deadline=None)
@given(st.integers(1, 3), st.lists(st.tuples(st.sampled_from(["ask", "over", "park", "pass"]), st.integers(0, 5)), max_size=60))
def test_whatever_happens_memory_is_bounded_and_no_place_is_lost(places, steps):
    some, now_s, out = slots(places), 0.0, []
    for step, number in steps:
        match step:
            case "ask":
                some.ask(f"learner {number}", (f"task {number}", b""))
            case "over" if out:
                assert some.over(out.pop(number % len(out))[1].buffer, now_s)
            case "park" if out:
                wish, loan = out.pop(number % len(out))
                assert some.park(wish.upload, Loan(loan.buffer, 3), now_s)
            case "pass":
                now_s += number
        some.make_room(now_s)
        while (grant := some.next(now_s)) is not None:
            out.append(grant)
        buffers = {id(loan.buffer) for _, loan in out} | {id(loan.buffer) for loan in some._parked.values()}
        assert len(buffers) == len(out) + len(some._parked) <= 2 * places, "a buffer has one owner, and they are bounded"
        assert some.lent == len(out)
        assert sum(some._free.values()) == 2 * places - len(out)
    for _, loan in out:
        some.over(loan.buffer, now_s)
    assert set(some._free.values()) == {places}


def shared(places=4, bytes_max=4 * NBYTES):
    """Places of a federation that shares memory with another one, whose room is handed out, too."""
    memory = ReceiveMemory(bytes_max)
    mine, other = memory.enter(), memory.enter()
    return Slots(places, BufferPool(), mine), other


def test_a_place_is_of_use_only_with_memory_and_the_next_has_it_when_it_is_back():
    some, other = shared()
    for learner in "abcd":
        some.ask(learner)
    grants = some.granted()
    assert set(grants) == {"a", "b", "c"}, "its own part is one model, the common half two"
    assert other.take(NBYTES)
    assert some.over(grants["a"].buffer, 0.0)
    assert set(some.granted()) == {"d"}
    for buffer in (grants["b"].buffer, grants["c"].buffer):
        assert some.over(buffer, 0.0)
    assert other.take(NBYTES)


def test_a_model_of_more_than_half_of_the_memory_is_refused_with_the_remedy():
    some, _ = shared()
    huge, small = some.ask("huge", nbytes=3 * NBYTES), some.ask("small")
    assert set(some.granted()) == {"small"}
    assert "have it serve with --memory-bytes 48 or more" in str(huge.reply.error)
    assert not small.reply.gone


def test_an_interrupted_upload_keeps_its_memory_until_somebody_of_its_federation_needs_it():
    some, other = shared()
    for learner, upload in (("a", A), ("b", B), ("c", None)):
        some.ask(learner, upload)
    grants = some.granted()
    assert some.park(A, grants["a"], 0.0)
    assert some.park(B, grants["b"], 0.0)
    assert other.take(NBYTES)
    assert not other.take(NBYTES), "what is parked is taken"
    other.withdraw()
    some.ask("b", B)
    assert some.granted()["b"] is grants["b"]
    some.ask("d")
    assert set(some.granted()) == {"d"}, "what has come of a's makes room"
    some.ask("a", A)
    assert not some.granted()


def test_who_waits_for_a_place_stands_in_no_line_for_memory():
    some, other = shared(places=1)
    some.ask("a")
    some.ask("b")
    assert set(some.granted()) == {"a"}
    assert other.take(2 * NBYTES)
