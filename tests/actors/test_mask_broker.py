"""The mask broker among actors: whom it listens to, and that nobody waits for a sum that will not come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fedactors.actors.mask_broker import MaskBroker
from fedactors.actors.messages import (
    BeginMasking,
    EndMasking,
    Expelled,
    MaskedTask,
    MaskingHeard,
    MemberDeparted,
    SayMasking,
    ToLearnerProxy,
    ToMaskBroker,
    UnmaskRound,
)
from fedactors.errors import Rejected
from fedactors.privacy.masking.member import Member
from fedactors.privacy.masking.messages import read_to_member, written
from fedactors.privacy.masking.terms import Terms
from fedactors.protocol import Masking
from fedactors.runtime import ActorRef, ActorSystem
from fedactors.testing import Probe

NAMES = ("a", "b", "c", "d")


class Rig:
    """A broker, probes in place of proxies, and members that answer for their learners."""

    def __init__(self, system: ActorSystem) -> None:
        self.broker: ActorRef[ToMaskBroker] = system.spawn(lambda: MaskBroker(Terms(), 20.0), name="masks")
        self.proxies: dict[str, Probe[ToLearnerProxy]] = {name: Probe(system, f"proxy-{name}") for name in NAMES}
        self.members: dict[str, Member] = {}

    def begin(self, round_: int) -> None:
        """A round begins, and its learners give their keys."""
        self.broker.tell(BeginMasking(round_, NAMES))
        self.members = {name: Member(name, Terms()) for name in NAMES}
        for name, member in self.members.items():
            self.broker.tell(MaskedTask(f"{name}{round_}", name, round_, self.proxies[name].ref))
            self.broker.tell(MaskingHeard(name, Masking(f"{name}{round_}", *written(member.said))))

    async def answer(self, name: str) -> None:
        """A learner hears the next thing, and answers."""
        said = (await self.proxies[name].expect(SayMasking, 5.0)).said
        answer = self.members[name].handle(read_to_member(said.stage, said.body))
        if answer is not None:
            self.broker.tell(MaskingHeard(name, Masking(said.task, *written(answer))))

    async def agree(self, round_: int) -> None:
        """A round as far as its members can mask."""
        self.begin(round_)
        for _ in range(2):
            for name in NAMES:
                await self.answer(name)


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    async with asyncio.timeout(30), ActorSystem(name="masks") as system:
        yield Rig(system)


async def test_survivors_say_how_their_sum_is_read():
    async with rig() as one:
        await one.agree(1)
        for name in NAMES[:3]:
            one.members[name].masks()
        asked = asyncio.ensure_future(one.broker.ask(UnmaskRound(1, NAMES[:3])))
        for name in NAMES[:3]:
            await one.answer(name)
        assert (await asked).survivors == frozenset(NAMES[:3])


@pytest.mark.parametrize("again", [BeginMasking(1, NAMES), BeginMasking(2, NAMES), EndMasking(1)])
async def test_who_waits_for_a_sum_waits_no_more_when_its_round_is_over(again):
    """A scheduler that fails while a round is combined begins it anew; the aggregator must not wait for ever."""
    async with rig() as one:
        await one.agree(1)
        asked = asyncio.ensure_future(one.broker.ask(UnmaskRound(1, NAMES)))
        await one.proxies["a"].expect(SayMasking, 5.0)
        one.broker.tell(again)
        with pytest.raises(Rejected, match=r"masking: (another round has begun|the round was given up)"):
            await asked


async def test_a_sum_of_another_round_cannot_be_read():
    async with rig() as one:
        with pytest.raises(Rejected, match="masking: round 1 has no masks here; it was begun before a restart"):
            await one.broker.ask(UnmaskRound(1, NAMES))


async def test_with_too_few_left_every_task_is_given_up():
    async with rig() as one:
        one.begin(1)
        for name in NAMES[:2]:
            await one.proxies[name].expect(SayMasking, 5.0)
            one.broker.tell(MemberDeparted(name))
        expelled = [await one.proxies[name].expect(Expelled, 5.0) for name in NAMES[:2]]
        assert [message.task for message in expelled] == ["a1", "b1"]
        assert {message.why for message in expelled} == {"masking: 2 of 4 learners are still here (c, d), and 3 are needed"}
        with pytest.raises(Rejected, match="2 of 4 learners are still here"):
            await one.broker.ask(UnmaskRound(1, NAMES))


async def test_nonsense_and_words_of_other_tasks_harm_nobody_but_who_says_them():
    async with rig() as one:
        one.begin(1)
        for body in ({}, {"shares": {"b": b"short"}}, {"shares": 7}):
            one.broker.tell(MaskingHeard("a", Masking("a0", "shares", body)))
        one.broker.tell(MaskingHeard("a", Masking("a1", "shares", {"shares": {"b": b"short"}})))
        await one.proxies["a"].expect(SayMasking, 5.0)
        expelled = await one.proxies["a"].expect(Expelled, 5.0)
        assert expelled.why == "masking: it said what makes no sense: masking's shares of b is not 94 bytes"
        for name in NAMES[1:]:
            await one.answer(name)
        for name in NAMES[1:]:
            await one.answer(name)
        assert all(one.members[name].can_mask for name in NAMES[1:])
