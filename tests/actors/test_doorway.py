"""Who may hold streams, and how many."""

from __future__ import annotations

import asyncio

import pytest

from fedactors.actors.doorway import JOINS_MAX, JOINS_WITHIN_S, WEIGHT_STREAMS_MAX, Doorway
from fedactors.errors import RemoteProtocolError, StreamClosed


class Line:
    """Stands where a stream stands: it says something once it is told to."""

    peer, method = "here", "/any"

    def __init__(self):
        self.heard = asyncio.get_running_loop().create_future()

    def cut(self, why):
        if not self.heard.done():
            self.heard.set_exception(StreamClosed(why))


async def test_a_stream_on_which_nothing_is_said_ends():
    line = Line()
    with pytest.raises(RemoteProtocolError, match=r"here said nothing on /any within 0\.01 s"):
        await Doorway(5, 0.01).first(line, line.heard)


async def test_of_too_many_strangers_the_one_that_has_waited_longest_makes_room():
    doorway, lines = Doorway(2, 60.0), [Line() for _ in range(3)]
    waiting = [asyncio.ensure_future(doorway.first(line, line.heard)) for line in lines]
    with pytest.raises(StreamClosed, match="2 streams wait for their first message, and this one has waited longest"):
        await waiting[0]
    assert list(doorway.strangers) == lines[1:]
    lines[2].heard.set_result("hello")
    assert await waiting[2] == "hello"
    assert list(doorway.strangers) == [lines[1]]
    lines[1].cut("enough")
    with pytest.raises(StreamClosed, match="enough"):
        await waiting[1]
    assert not doorway.strangers


async def test_a_learner_holds_some_streams_and_they_end_with_it():
    doorway, anna, ben = Doorway(2, 60.0), object(), object()
    lines = [Line() for _ in range(WEIGHT_STREAMS_MAX)]
    holds = [doorway.held_by(anna, line) for line in lines]
    for hold in holds:
        hold.__enter__()
    with pytest.raises(RemoteProtocolError, match="a learner may hold 16 streams for weights"), doorway.held_by(anna, Line()):
        pass
    with doorway.held_by(ben, Line()):
        pass
    holds[0].__exit__(None, None, None)
    with doorway.held_by(anna, Line()):
        pass
    doorway.close(anna)
    assert [line.heard.done() for line in lines] == [False] + [True] * (WEIGHT_STREAMS_MAX - 1)
    assert all(isinstance(line.heard.exception(), StreamClosed) for line in lines[1:])


def test_who_joins_again_and_again_is_to_come_back_later_and_others_are_not():
    doorway = Doorway(2, 60.0)
    assert not any(doorway.joins_too_often("anna", number / 10) for number in range(JOINS_MAX))
    assert doorway.joins_too_often("anna", 3.0)
    assert not doorway.joins_too_often("ben", 3.0)
    assert doorway.joins_too_often("anna", 3.0), "those that were refused do not count"
    assert not doorway.joins_too_often("anna", JOINS_WITHIN_S + 0.05)
