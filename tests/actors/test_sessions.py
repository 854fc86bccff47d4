"""What the controller's side says on a session, seen from a learner that is played by the test."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager

import numpy as np

from fedactors import Federation
from fedactors.actors import gateway
from fedactors.actors.learner_proxy import LearnerProxy
from fedactors.protocol import PUSH, Cancel, Goodbye, GoodbyeReason, Hello, PushGrant, PushOpening, Task, TaskFailure, fetch, join
from fedactors.protocol.blob_wire import decode_reply, encode_opening
from fedactors.protocol.chunks import encode_chunk
from fedactors.protocol.weight_streams import WeightStreams
from fedactors.task import TaskKind, TrainReport
from fedactors.testing import ScriptedLearner
from fedactors.transport import Address
from fedactors.transport.memory import MemoryTransport

PLACE = "memory://sessions"


def config(rounds: int = 3):
    return {
        "name": "sessions",
        "seed": 3,
        "learners": {"count": 2},
        "protocol": {"options": {"round_timeout_s": 0.3, "min_updates": 1}},
        "stop": {"rounds": rounds},
        "evaluate": {"every": 0},
        "limits": {"uploads_max": 1},
    }


@asynccontextmanager
async def begun(rounds: int = 3):
    """A federation with one learner that works and a channel for another one."""
    channel = MemoryTransport().connect(Address.parse(PLACE))
    async with asyncio.timeout(30), Federation(config(rounds), addresses=[PLACE]) as federation:
        federation.add_learner(ScriptedLearner({"w": np.zeros(4, np.float32)}), id="works")
        yield federation, channel
    await channel.close()


async def heard(session, kind):
    """The next message of this kind."""
    while not isinstance(message := await session.receive(), kind):
        pass
    return message


async def committed(federation, round_):
    async with aclosing(federation.events()) as events:
        async for event in events:
            if event.kind == "round_committed" and event.body["round"] == round_:
                return


async def test_a_task_that_was_given_up_while_its_learner_was_away_is_taken_back_when_it_is_here_again():
    async with begun() as (federation, channel):
        session, terms = await join(channel, Hello("idles"), timeout_s=5)
        await federation.admin.order("start")
        task = await heard(session, Task)
        assert task.kind is TaskKind.TRAIN, "the other one gave the initial weights"
        session.cut("away")
        await session.close()
        await committed(federation, 1)
        again, terms = await join(channel, Hello("idles", resume_token=terms.token, tasks_held=(task.id,)), timeout_s=5)
        assert terms.resumed
        assert await heard(again, Cancel) == Cancel(task.id)
        again.cut("seen enough")
        await again.close()


async def test_an_upload_ends_when_its_task_is_decided_and_its_place_is_free_for_others(monkeypatch):
    monkeypatch.setattr("fedactors.actors.upload_slots.PATIENCE_S", 0.1)
    async with begun() as (federation, channel):
        session, terms = await join(channel, Hello("idles"), timeout_s=5)
        await federation.admin.order("start")
        task = await heard(session, Task)
        streams = WeightStreams(channel)
        layout, buffer = await fetch(streams, terms.token, task.version)
        streams.close()
        stream = await channel.open(PUSH, timeout_s=5)
        opening = PushOpening(terms.token, task.id, layout.digest, None, layout.nbytes, TrainReport(10))
        await stream.send(encode_opening(opening))
        assert decode_reply(await stream.receive()) == PushGrant()
        answer = decode_reply(await stream.receive())
        assert (answer.accepted, answer.refusal) == (False, "late")
        await stream.send(encode_chunk(0, buffer.data))
        await stream.send(encode_opening(opening))
        assert decode_reply(await stream.receive()) == answer, "the stream goes on, and the answer is remembered"
        await committed(federation, 2)
        stream.cut("seen enough")
        session.cut("seen enough")
        await session.close()


async def test_a_controller_that_goes_down_amid_a_run_tells_its_learners_to_come_back():
    async with begun(rounds=1000) as (federation, channel):
        session, _ = await join(channel, Hello("idles"), timeout_s=5)
        await federation.admin.order("start")
        await heard(session, Task)
        closing = asyncio.ensure_future(federation.__aexit__(None, None, None))
        assert (await heard(session, Goodbye)).reason is GoodbyeReason.DRAINING
        await session.goodbye(GoodbyeReason.LEFT)
        await session.close()
        await closing


async def test_a_learner_whose_proxy_fails_is_told_to_come_back(monkeypatch):
    def fails(*_):
        raise RuntimeError("a bug")

    async with begun() as (federation, channel):
        session, _ = await join(channel, Hello("idles"), timeout_s=5)
        monkeypatch.setattr(LearnerProxy, "_unanswered", fails)
        await federation.admin.order("start")
        await session.send(TaskFailure((await heard(session, Task)).id, "no data here"))
        assert (await heard(session, Goodbye)).reason is GoodbyeReason.DRAINING
        session.cut("seen")
        await session.close()


async def test_every_learner_is_told_that_the_federation_is_done_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(gateway, "DISMISSED_AT_ONCE", 2)
    async with begun() as (federation, channel):
        sessions = [(await join(channel, Hello(f"idles-{number}"), timeout_s=5))[0] for number in range(7)]
        sessions[3].cut("away when it ends")
        await federation.stop()
        for session in sessions[:3] + sessions[4:]:
            assert (await heard(session, Goodbye)).reason is GoodbyeReason.FINISHED
            await session.close()
        await sessions[3].close()
