"""Browsers are told of a run, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from fedactors.dashboard import feed as module
from fedactors.dashboard.chronicle import Chronicle
from fedactors.dashboard.feed import HEARTBEAT_S, PAUSE_S, Feed, TooManyBrowsers
from fedactors.errors import Unreachable
from fedactors.simulation.clock import run_virtual
from tests.dashboard.support import Kept, Told, read
from tests.observe.story import Story, whole_run


class Room:
    """A feed that follows, for a test in virtual time."""

    def __init__(self, source: Told | None = None) -> None:
        self.source = source or Told()
        self.feed = Feed(self.source, Chronicle("digits", 2))

    async def __aenter__(self):
        self.following = asyncio.create_task(self.feed.follow())
        return self.source, self.feed

    async def __aexit__(self, *_):
        self.following.cancel()
        await asyncio.gather(self.following, return_exceptions=True)


async def heard(messages) -> list[tuple]:
    return [read(message) async for message in messages]


def test_a_browser_is_told_of_everything_and_of_the_end():
    async def play():
        async with Room() as (source, feed):
            source.tell(*whole_run())
            source.end()
            await asyncio.sleep(1.0)
            return await heard(feed.messages())

    _, (rounds, number, points), (state, _, told), versions, over = run_virtual(play())
    assert (rounds, [point["round"] for point in points]) == ("rounds", [1, 2])
    assert (state, told["finished"], told["rounds_ended"]) == ("state", True, 2)
    assert (versions[0], [one["version"] for one in versions[2]["versions"]]) == ("versions", [1])
    assert over == ("over", "", {"why": ""})
    assert int(number) == points[-1]["number"] + 1


def test_a_browser_that_comes_back_is_told_of_what_it_has_not_heard():
    async def play():
        async with Room() as (source, feed):
            source.tell(*whole_run())
            source.end()
            first = next(m for m in await heard(feed.messages()) if m[0] == "rounds")[2][0]
            again = await heard(feed.messages(first["number"] + 1))
            return [point["round"] for kind, _, points in again if kind == "rounds" for point in points]

    assert run_virtual(play()) == [2]


def test_a_slow_browser_holds_nobody_and_is_told_the_newest():
    """It reads once, and again when a thousand rounds have gone by: the state comes once, not a thousand times."""

    async def play():
        async with Room() as (source, feed):
            story, messages = Story(), feed.messages()
            await anext(messages)
            first = read(await anext(messages))
            for _ in range(1_000):
                source.tell(story.began(1, "a"), story.ended(1, ["a"], loss=0.5))
            await asyncio.sleep(1.0)
            assert feed.chronicle.board.rounds_ended == 1_000, "the run was followed while the browser read nothing"
            later = [read(await anext(messages)) for _ in range(3)]
            await messages.aclose()
            return first, later

    first, later = run_virtual(play())
    assert first[2]["rounds_ended"] == 0
    assert [kind for kind, _, _ in later] == ["rounds", "rounds", "state"]
    assert sum(len(points) for kind, _, points in later if kind == "rounds") == 1_000
    assert later[-1][2]["rounds_ended"] == 1_000


def test_news_that_come_close_together_travel_together_and_silence_is_broken():
    async def play():
        async with Room() as (source, feed):
            loop, messages, times = asyncio.get_running_loop(), feed.messages(), []
            await anext(messages)
            for _ in range(3):
                await anext(messages)
                times.append(loop.time())
                source.tell(*Story().joined("a")) if len(times) == 1 else None
            await messages.aclose()
            return [b - a for a, b in pairwise(times)]

    assert run_virtual(play()) == pytest.approx([PAUSE_S, PAUSE_S + HEARTBEAT_S])


def test_the_end_is_told_although_the_controller_has_gone_with_it():
    class Gone(Told):
        async def status(self):
            assert not self.ended, "a controller whose run is over is asked nothing"
            return {}

        @asynccontextmanager
        async def versions(self):
            await asyncio.sleep(10.0)
            yield Kept()

    async def play():
        room = Room(Gone())
        async with room as (source, feed):
            messages = feed.messages()
            await anext(messages)
            await anext(messages)
            source.ended = True
            source.tell(*whole_run())
            began_s = asyncio.get_running_loop().time()
            source.end()
            heard_last = [kind for kind, _, _ in await heard(messages)][-3:]
            return heard_last, asyncio.get_running_loop().time() - began_s

    kinds, took_s = run_virtual(play())
    assert kinds == ["state", "versions", "over"]
    assert took_s <= 1.0


def test_a_run_that_is_lost_is_said_to_be():
    async def play():
        async with Room() as (source, feed):
            source.tell(*whole_run()[:5])
            source.end(Unreachable("nobody answers at grpc://here"))
            return await heard(feed.messages())

    *_, state, _, over = run_virtual(play())
    assert state[2]["lost"] == over[2]["why"] == "nobody answers at grpc://here"


def test_a_browser_too_many_is_turned_away_and_makes_room_when_it_goes(monkeypatch):
    monkeypatch.setattr(module, "BROWSERS_MAX", 1)

    async def play():
        async with Room() as (_, feed):
            first = feed.messages()
            await anext(first)
            with pytest.raises(TooManyBrowsers):
                await anext(feed.messages())
            await first.aclose()
            await anext(feed.messages())

    run_virtual(play())
