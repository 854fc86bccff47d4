"""Who waits for news."""

from __future__ import annotations

import asyncio

import pytest

from fedactors.actors.life import Life, Phase
from fedactors.actors.messages import EventsFrom
from fedactors.actors.watchers import EVENTS_PER_ANSWER_MAX, Watchers
from fedactors.errors import Rejected
from fedactors.record import Event, EventKind
from fedactors.runtime import Deferred
from fedactors.stop import StopConditions


def publish(life: Life, number: int) -> None:
    for _ in range(number):
        life.publish(0.0, EventKind.WAITING, {"why": "testing"})


def numbers(news: tuple[Event, ...] | None) -> list[int] | None:
    return None if news is None else [event.number for event in news]


def test_what_there_is_is_answered_at_once_if_it_is_enough():
    life = Life(StopConditions())
    publish(life, 3)
    watchers = Watchers(life)
    assert numbers(watchers.answer(EventsFrom(1))) == [1, 2]
    assert numbers(watchers.answer(EventsFrom(1, at_least=2))) == [1, 2]
    assert watchers.answer(EventsFrom(1, at_least=3)) is None
    assert watchers.answer(EventsFrom(3)) is None


def test_a_federation_that_is_done_answers_with_what_there_is():
    life = Life(StopConditions())
    publish(life, 3)
    life.phase = Phase.DONE
    assert numbers(Watchers(life).answer(EventsFrom(1, at_least=1_000))) == [1, 2]
    assert numbers(Watchers(life).answer(EventsFrom(3))) == []


def test_an_answer_is_never_longer_than_its_limit_nor_waited_for_beyond_it():
    life = Life(StopConditions())
    publish(life, EVENTS_PER_ANSWER_MAX + 5)
    assert len(Watchers(life).answer(EventsFrom(0, at_least=10 * EVENTS_PER_ANSWER_MAX)) or ()) == EVENTS_PER_ANSWER_MAX


def test_events_that_will_not_come_are_rejected():
    with pytest.raises(Rejected, match="kept from number 0 to 0; 7 was asked for"):
        Watchers(Life(StopConditions())).answer(EventsFrom(7))


async def test_each_watcher_is_answered_when_there_is_enough_for_it():
    life, loop = Life(StopConditions()), asyncio.get_running_loop()
    watchers, soon, later = Watchers(life), loop.create_future(), loop.create_future()
    for answer, at_least in ((soon, 1), (later, 2)):
        watchers.wait(EventsFrom(0, at_least=at_least), Deferred(answer))
    publish(life, 1)
    watchers.look()
    assert numbers(await soon) == [0]
    assert not later.done()
    publish(life, 1)
    watchers.look()
    assert numbers(await later) == [0, 1]
