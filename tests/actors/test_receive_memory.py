"""Memory for uploads that federations share: a part for each, the rest in turn, and never more than there is."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fedactors.actors.receive_memory import ReceiveMemory
from fedactors.actors.room import BOUNDLESS

BYTES_MAX = 1000


def entered(count, bytes_max=BYTES_MAX):
    memory = ReceiveMemory(bytes_max)
    return memory, [memory.enter() for _ in range(count)]


def test_a_huge_one_takes_what_is_idle_and_not_what_the_others_need():
    memory, (huge, *small) = entered(5)
    assert memory.reserve == 100
    taken = 0
    while huge.take(50):
        taken += 50
    assert taken == 500 + 100
    assert all(one.take(50) for one in small for _ in range(2))
    assert memory.used == BYTES_MAX
    assert not any(one.take(1) for one in small)


def test_who_needs_more_than_its_part_has_it_in_turn():
    _, (a, b, c) = entered(3)
    called = []
    for room, name in ((a, "a"), (b, "b"), (c, "c")):
        room.call(lambda name=name: called.append(name))
    assert a.take(500)
    assert not b.take(500)
    assert not c.take(400)
    assert not a.take(400), "it stands behind the others"
    a.give(500)
    assert called == ["b"]
    assert b.take(500)
    b.give(500)
    assert called[1:] == ["c"]
    assert c.take(400)
    c.give(400)
    assert set(called[2:]) == {"a"}
    assert a.take(400)


def test_who_does_not_wait_any_more_holds_up_nobody():
    memory, (a, b, c) = entered(3)
    woken = []
    c.call(lambda: woken.append("c"))
    assert a.take(400)
    assert not b.take(500)
    assert not c.take(300), "b is first, though there is room for this"
    b.withdraw()
    assert woken == ["c"]
    assert c.take(300)
    assert not b.take(500)
    memory.leave(a)
    assert memory.used == 300


def test_who_has_left_takes_and_gives_nothing():
    memory, (a, b) = entered(2)
    assert a.take(300)
    memory.leave(a)
    assert not a.take(1)
    a.give(300)
    assert memory.used == 0
    assert b.take(500)
    b.clear()
    assert memory.used == 0


@given(st.integers(0, 2**40))
def test_who_shares_with_nobody_has_what_it_wants(nbytes):
    assert BOUNDLESS.take(nbytes)
    BOUNDLESS.give(nbytes)
    assert BOUNDLESS.bytes_max is None


class Sharers(RuleBasedStateMachine):
    """Parties come, take, give and go; each wants one size at a time, as an aggregator does."""

    def __init__(self):
        super().__init__()
        self.memory = ReceiveMemory(BYTES_MAX)
        self.rooms, self.held, self.wants, self.woken, self.passed = [], {}, {}, set(), {}

    def room(self, index):
        return self.rooms[index % len(self.rooms)]

    @precondition(lambda self: len(self.rooms) < 6)
    @rule()
    def enters(self):
        room = self.memory.enter()
        room.call(lambda: self.woken.add(room))
        self.rooms.append(room)
        self.held[room] = []

    @precondition(lambda self: self.rooms)
    @rule(index=st.integers(0, 5), nbytes=st.integers(1, BYTES_MAX // 2))
    def takes(self, index, nbytes):
        room = self.room(index)
        nbytes = self.wants.get(room, nbytes)
        beyond = sum(self.held[room]) + nbytes > self.memory.reserve
        first = next((one for one in self.wants), room)
        if room.take(nbytes):
            self.held[room].append(nbytes)
            self.wants.pop(room, None)
            if beyond:
                assert first is room, "it took of the common half before its turn"
                for other in self.wants:
                    self.passed[other][room] += 1
                    assert self.passed[other][room] <= 1
        elif room not in self.wants:
            self.wants[room], self.passed[room] = nbytes, Counter()
        self.woken.discard(room)

    @precondition(lambda self: any(self.held.values()))
    @rule(index=st.integers(0, 5))
    def gives(self, index):
        room = self.room(index)
        if self.held[room]:
            room.give(self.held[room].pop())

    @precondition(lambda self: self.wants)
    @rule()
    def withdraws(self):
        room = next(reversed(self.wants))
        del self.wants[room]
        room.withdraw()

    @precondition(lambda self: self.rooms)
    @rule(index=st.integers(0, 5))
    def leaves(self, index):
        room = self.room(index)
        self.rooms.remove(room)
        self.memory.leave(room)
        self.held.pop(room)
        self.wants.pop(room, None)

    @invariant()
    def never_more_than_there_is_and_it_is_counted_right(self):
        assert self.memory.used == sum(map(sum, self.held.values())) <= BYTES_MAX

    @invariant()
    def whoever_is_first_and_fits_is_called(self):
        if not any(self.held.values()):
            for first in list(self.wants)[:1]:
                assert first in self.woken or first.take(0)


TestSharers = Sharers.TestCase
