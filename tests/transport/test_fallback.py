"""A way to one of several listeners, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from fedactors.errors import Unreachable
from fedactors.testing import run_virtual
from fedactors.transport import Channel
from fedactors.transport.fallback import Fallback


class Scripted(Channel):
    """A listener that is there or not; a stream is its name."""

    def __init__(self, name):
        self.name, self.is_there, self.is_closed, self.left = name, True, False, []

    def leave(self, stream):
        self.left.append(stream)

    async def open(self, method, *, timeout_s):
        if not self.is_there:
            await asyncio.sleep(timeout_s)
            raise Unreachable(f"{self.name} is away")
        return self.name

    async def close(self):
        self.is_closed = True


async def opened(channel, attempts=1):
    """What comes of so many attempts, a second apart and of a second each."""
    found = []
    for _ in range(attempts):
        try:
            found.append(await channel.open("method", timeout_s=1.0))
        except Unreachable:
            found.append("-")
        await asyncio.sleep(1.0)
    return found


@pytest.fixture
def places():
    return [Scripted(name) for name in "abc"]


def test_the_first_that_is_named_is_the_first_to_be_tried(places):
    assert run_virtual(opened(Fallback(places, 5.0), 2)) == ["a", "a"]


def test_one_that_is_away_for_too_long_makes_room_for_the_next(places):
    places[0].is_there = False
    assert run_virtual(opened(Fallback(places, 5.0), 4)) == ["-", "-", "-", "b"]


def test_one_that_comes_back_in_time_is_kept(places):
    async def story():
        channel = Fallback(places, 5.0)
        places[0].is_there = False
        found = await opened(channel, 2)
        places[0].is_there = True
        found += await opened(channel)
        places[0].is_there = False
        return found + await opened(channel, 4)

    assert run_virtual(story()) == ["-", "-", "a", "-", "-", "-", "b"]


def test_they_are_tried_in_a_circle(places):
    async def story():
        channel = Fallback(places, 0.0)
        for place in places:
            place.is_there = False
        found = await opened(channel, 3)
        places[0].is_there = True
        return found + await opened(channel)

    assert run_virtual(story()) == ["-", "-", "-", "a"]


def test_an_attempt_takes_no_longer_than_is_left(places):
    async def story():
        channel = Fallback(places, 5.0)
        places[0].is_there = False
        with pytest.raises(Unreachable):
            await channel.open("method", timeout_s=60.0)
        assert asyncio.get_running_loop().time() == 5.0
        return await opened(channel)

    assert run_virtual(story()) == ["b"]


def test_attempts_at_the_same_time_move_on_once(places):
    async def story():
        channel = Fallback(places, 0.5)
        places[0].is_there = False
        await asyncio.gather(*(opened(channel) for _ in range(5)))
        return await opened(channel)

    assert run_virtual(story()) == ["b"]


def test_what_is_left_or_closed_is_so_everywhere(places):
    async def story():
        channel = Fallback(places, 1.0)
        channel.leave("stream")
        await channel.close()

    run_virtual(story())
    assert [(place.left, place.is_closed) for place in places] == [(["stream"], True)] * 3
