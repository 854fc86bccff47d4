"""Who takes part, and who is told when somebody comes or goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fedactors.actors.membership import Membership
from fedactors.actors.messages import (
    ForgetLearner,
    LearnerDeparted,
    LearnerJoined,
    MemberDeparted,
    MemberJoined,
    ToAggregator,
    ToLearnerProxy,
    ToScheduler,
)
from fedactors.record import EventKind
from fedactors.runtime import ActorSystem
from fedactors.selection.base import Candidate
from fedactors.testing import Probe


class Rig:
    """A membership between probes."""

    def __init__(self, system: ActorSystem, *before: str) -> None:
        self.system = system
        self.scheduler: Probe[ToScheduler] = Probe(system, "scheduler")
        self.aggregator: Probe[ToAggregator] = Probe(system, "aggregator")
        self.taking_part = set(before)
        self.news: list[tuple[EventKind, str, str | None]] = []
        self.members = Membership(self.taking_part, self.scheduler.ref, self.aggregator.ref, self.publish)

    def publish(self, kind: EventKind, **body: Any) -> None:
        """Keep what is told."""
        self.news.append((kind, body["learner"], body.get("how")))

    def joined(self, learner: str) -> LearnerJoined:
        """A new connection of a learner."""
        proxy: Probe[ToLearnerProxy] = Probe(self.system)
        return LearnerJoined(Candidate(learner, 10, frozenset({"b", "a"})), 5, proxy.ref)


async def test_a_learner_that_joins_is_a_member_and_everybody_hears_of_it():
    async with ActorSystem() as system:
        rig = Rig(system)
        joined = rig.joined("a")
        assert not rig.members.join(joined), "nobody waited for it"
        assert dict(rig.members) == {"a": joined}
        assert rig.taking_part == {"a"}
        assert rig.news == [(EventKind.LEARNER_JOINED, "a", None)]
        assert await rig.scheduler.expect(MemberJoined) == MemberJoined(joined.candidate, joined.proxy)


async def test_what_a_former_connection_says_of_its_end_changes_nothing():
    async with ActorSystem() as system:
        rig = Rig(system)
        former, joined = rig.joined("a"), rig.joined("a")
        rig.members.join(joined)
        assert not rig.members.depart(LearnerDeparted("a", "lost", "silent", former.proxy))
        assert not rig.members.depart(LearnerDeparted("stranger", "lost", "silent", former.proxy))
        assert set(rig.members) == rig.taking_part == {"a"}
        assert len(rig.news) == 1


@pytest.mark.parametrize(("how", "forgotten"), [("left", True), ("lost", True), ("displaced", False)])
async def test_what_a_departed_learner_has_given_is_forgotten_unless_it_is_here_anew(how: str, forgotten: bool):
    async with ActorSystem() as system:
        rig = Rig(system)
        joined = rig.joined("a")
        rig.members.join(joined)
        assert rig.members.depart(LearnerDeparted("a", how, "", joined.proxy))
        assert not rig.members
        assert not rig.taking_part
        assert rig.news[1:] == [(EventKind.LEARNER_DEPARTED, "a", how)]
        await rig.scheduler.expect(MemberJoined)
        assert await rig.scheduler.expect(MemberDeparted) == MemberDeparted("a")
        assert rig.aggregator.received == ([ForgetLearner("a")] if forgotten else [])


async def test_after_a_restart_nobody_is_here_and_whoever_took_part_is_awaited():
    async with ActorSystem() as system:
        rig = Rig(system, "b")
        rig.members.join(rig.joined("a"))
        assert rig.members.await_return()
        assert not rig.members
        assert rig.taking_part == {"a", "b"}
        assert rig.news == [(EventKind.LEARNER_JOINED, "a", None)], "nobody has departed"
        assert rig.members.join(rig.joined("a"))
        assert rig.members.awaits, "for b"
        assert rig.members.join(rig.joined("b"))
        assert not rig.members.awaits
        assert not rig.members.give_up_awaited()


async def test_whoever_does_not_come_back_is_lost_and_the_others_stay():
    async with ActorSystem() as system:
        rig = Rig(system, "c", "b", "a")
        rig.members.await_return()
        rig.members.join(rig.joined("b"))
        assert rig.members.give_up_awaited()
        assert set(rig.members) == rig.taking_part == {"b"}
        assert rig.news[1:] == [(EventKind.LEARNER_DEPARTED, "a", "lost"), (EventKind.LEARNER_DEPARTED, "c", "lost")]
        await asyncio.sleep(0)
        assert rig.aggregator.received == [ForgetLearner("a"), ForgetLearner("c")]
        assert not rig.members.awaits


async def test_where_nobody_took_part_nobody_is_awaited():
    async with ActorSystem() as system:
        assert not Rig(system).members.await_return()
