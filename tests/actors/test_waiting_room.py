"""Streams that wait for a gateway's or a controller's answer do not hold up their end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import numpy as np
import pytest

from fedactors import Federation
from fedactors.actors import gateway
from fedactors.actors.waiting_room import WaitingRoom
from fedactors.errors import ActorStopped
from fedactors.learner import LearnerClient
from fedactors.record import EventKind
from fedactors.runtime.life import Life
from fedactors.testing import ScriptedLearner
from fedactors.testing.learners import adds
from fedactors.transport.memory import MemoryTransport

WEIGHTS = {"w": np.zeros(8, np.float32)}


async def test_an_answer_is_given_on():
    room, asked = WaitingRoom(), asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(room.answer(asked))
    await asyncio.sleep(0)
    asked.set_result(3)
    assert await waiting == 3
    room.close()
    assert await room.answer(asked) == 3, "it is there already"


async def test_what_is_not_answered_when_it_closes_or_later_is_taken_back():
    room, loop = WaitingRoom(), asyncio.get_running_loop()
    before, after = loop.create_future(), loop.create_future()
    waiting = asyncio.create_task(room.answer(before))
    await asyncio.sleep(0)
    room.close()
    for late in (waiting, room.answer(after)):
        with pytest.raises(ActorStopped, match="this controller goes down"):
            await late
    assert before.cancelled()
    assert after.cancelled()


async def test_a_refusal_and_a_cancellation_are_what_they_are():
    room, loop = WaitingRoom(), asyncio.get_running_loop()
    refused, left = loop.create_future(), loop.create_future()
    waiting = asyncio.create_task(room.answer(left))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert left.cancelled(), "nobody waits for it"
    refused.set_exception(KeyError("x"))
    with pytest.raises(KeyError):
        await room.answer(refused)


async def test_a_federation_that_is_given_up_ends_while_somebody_watches_and_learners_come_back(monkeypatch):
    """With a grace that nobody lives to see: a gateway that waited for it would be given up by force."""
    forced = []
    monkeypatch.setattr(Life, "_note_failed_stop", lambda life, error: forced.append((life.ref.path, error)))
    monkeypatch.setattr(gateway, "CLOSE_GRACE_S", 3600.0)
    config = {"name": "given-up", "stop": {"rounds": 10_000}}
    async with asyncio.timeout(30):
        async with Federation(config, addresses=["memory://given-up"]) as federation:
            channel = MemoryTransport().connect(federation.addresses[0])
            learner = asyncio.create_task(LearnerClient(ScriptedLearner(WEIGHTS, train=adds(1.0)), "anna", channel).run())
            running = asyncio.create_task(federation.run())
            async with aclosing(federation.events()) as news:
                async for event in news:
                    if event.kind is EventKind.ROUND_COMMITTED:
                        break
            running.cancel()
        for task in (learner, running):
            task.cancel()
        await asyncio.gather(learner, running, return_exceptions=True)
        await channel.close()
    assert forced == []
