"""Probes, and the check that messages are immutable."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from fedactors.runtime import ActorSystem, Request, Terminated
from fedactors.testing import Probe, find_mutable, immutable_check


@dataclass(frozen=True, slots=True)
class Note:
    text: str


@dataclass(frozen=True, slots=True)
class Ask(Request[int]):
    number: int = 1


async def test_a_probe_gives_back_what_it_was_sent_in_order() -> None:
    async with ActorSystem() as system:
        probe: Probe[Note] = Probe(system, "probe")
        probe.ref.tell(Note("a"))
        probe.ref.tell(Note("b"))
        assert (await probe.expect(Note), await probe.expect(Note)) == (Note("a"), Note("b"))
        assert probe.received == [Note("a"), Note("b")]
        assert probe.ref.path == "/probe"


async def test_a_probe_says_what_came_instead() -> None:
    async with ActorSystem() as system:
        probe: Probe[Any] = Probe(system)
        probe.ref.tell(Note("a"))
        with pytest.raises(AssertionError, match=r"expected Ask, but Note\(text='a'\) came"):
            await probe.expect(Ask)
        with pytest.raises(AssertionError, match=r"expected Note, but nothing came in 5 s"):
            await probe.expect(Note, timeout_s=5)
        await probe.expect_nothing()
        probe.ref.tell(Note("late"))
        with pytest.raises(AssertionError, match=r"expected nothing for 1 s, but Note\(text='late'\) came"):
            await probe.expect_nothing()


async def test_a_probe_answers_as_it_is_told_or_later() -> None:
    async with ActorSystem() as system:
        probe: Probe[Any] = Probe(system)
        answer = probe.ref.ask(Ask())
        await probe.expect(Ask)
        assert not answer.done()
        probe.reply(7)
        assert await answer == 7
        probe.answer(Ask, lambda message: 10 // message.number)
        assert await probe.ref.ask(Ask(5)) == 2
        with pytest.raises(ZeroDivisionError):
            await probe.ref.ask(Ask(0))
        with pytest.raises(AssertionError, match="no request waits"):
            probe.reply(1)


async def test_a_probe_watches() -> None:
    async with ActorSystem() as system:
        probe, other = Probe[Any](system), Probe[Any](system)
        probe.watch(other.ref)
        await asyncio.sleep(1)
        other.ref.stop()
        assert await probe.expect(Terminated) == Terminated(other.ref, None)


# ------------------------------------------------------------------------------------------------------------------ immutable


class Colour(enum.Enum):
    RED = 1


@dataclass(frozen=True)
class Holder:
    thing: Any


@dataclass
class Changeable:
    number: int = 1
    more: list[int] = field(default_factory=list)


FROZEN_ARRAY = np.zeros(3)
FROZEN_ARRAY.flags.writeable = False


@pytest.mark.parametrize(
    "value",
    [
        1,
        "text",
        None,
        (1, (2, "x")),
        frozenset({1}),
        MappingProxyType({"a": 1}),
        Colour.RED,
        Holder(Holder(1)),
        FROZEN_ARRAY,
        int,
    ],
)
def test_what_cannot_change_may_be_sent(value: Any) -> None:
    assert find_mutable(Holder(value), "message") is None


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([1], "message.thing is a list"),
        ((1, {"a": 1}), "message.thing[1] is a dict"),
        (Holder(Changeable()), "message.thing.thing is a Changeable"),
        (np.zeros(3), "message.thing is a ndarray"),
        (MappingProxyType({"a": []}), "message.thing['a'] is a list"),
    ],
)
def test_what_can_change_is_found(value: Any, where: str) -> None:
    assert find_mutable(Holder(value), "message") == where


async def test_a_system_can_check_every_message_at_its_sender() -> None:
    async with ActorSystem(check=immutable_check(np.ndarray)) as system:
        probe: Probe[Any] = Probe(system)
        probe.ref.tell(Holder(np.zeros(3)))
        with pytest.raises(AssertionError, match=r"a message must be immutable, but Holder\.thing is a list"):
            probe.ref.tell(Holder([]))
        with pytest.raises(AssertionError, match="is a Changeable"):
            await probe.ref.send(Changeable())
        with pytest.raises(AssertionError, match=r"Ask\.number is a list"):
            await probe.ref.ask(Ask([]))  # type: ignore[arg-type]
        await probe.expect(Holder)
        await probe.expect_nothing()
