from __future__ import annotations

from fedactors.actors import life as module
from fedactors.actors.life import Life, new_task_ids
from fedactors.record import EventKind
from fedactors.stop import StopConditions


def test_events_are_numbered_without_gaps_and_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(module, "EVENTS_KEPT", 10)
    life = Life(StopConditions())
    for number in range(45):
        assert life.next_number == number
        life.publish(float(number), EventKind.WAITING, {"why": str(number)})
    assert 10 <= len(life.events) <= 20
    assert [event.number for event in life.events] == list(range(life.forgotten, 45))
    assert [event.number for event in life.events_from(40, 3)] == [40, 41, 42]
    assert life.events_from(life.forgotten - 1, 3) == []
    assert life.events_from(45, 3) == []


def test_no_two_federations_give_the_same_task_ids():
    one, two = new_task_ids(), new_task_ids()
    ids = [next(one) for _ in range(100)] + [next(two) for _ in range(100)]
    assert len(set(ids)) == 200
