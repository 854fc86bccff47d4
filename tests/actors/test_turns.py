"""Whose turn it is: nobody waits for more than one turn of each other, and nothing waits while there is a thread."""

from __future__ import annotations

from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from fedactors.actors.turns import Turns

parties = st.integers(0, 4)
steps = st.lists(st.one_of(st.tuples(st.just("put"), parties), st.just(("take", 0)), st.tuples(st.just("drop"), parties)))


def test_parties_are_served_in_turn_and_each_ones_work_in_its_order():
    turns = Turns()
    for who, work in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("c", "c2")]:
        turns.put(who, work)
    assert [turns.take() for _ in range(7)] == ["a1", "b1", "c1", "a2", "c2", "a3", None]


def test_who_was_just_served_and_comes_again_stands_behind_all_others():
    turns = Turns()
    turns.put("a", "a1")
    turns.put("b", "b1")
    assert turns.take() == "a1"
    turns.put("a", "a2")
    assert [turns.take(), turns.take()] == ["b1", "a2"]


@given(steps)
def test_while_a_party_waits_every_other_has_one_turn_at_most_and_as_long_as_anything_waits_it_is_taken(steps):
    turns, waiting, since = Turns(), {}, {}
    for number, (what, who) in enumerate(steps):
        match what:
            case "put":
                turns.put(who, (who, number))
                if not waiting.setdefault(who, deque()):
                    since[who] = Counter()
                waiting[who].append((who, number))
            case "drop":
                assert turns.drop(who) == tuple(waiting.pop(who, ()))
            case "take":
                work = turns.take()
                assert (work is None) == (not any(waiting.values()))
                if work is None:
                    continue
                assert work == waiting[work[0]].popleft()
                since[work[0]] = Counter()
                for other in (other for other, queue in waiting.items() if queue and other != work[0]):
                    since[other][work[0]] += 1
                    assert since[other][work[0]] <= 1
        assert len(turns) == sum(map(len, waiting.values()))
