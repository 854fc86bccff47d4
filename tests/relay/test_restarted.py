"""A relay whose process was restarted: it goes on with its session at once, and with its learners once they are back."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing

import pytest

from fedactors import Federation
from fedactors.config import build_transport
from fedactors.learner.answers import Declared
from fedactors.learner.spool import Spool
from fedactors.record import EventKind
from fedactors.relay import Relay
from fedactors.transport import Address
from tests.relay.test_former_tasks import EVALUATE, TRAIN
from tests.relay.test_relay import CONFIG, Steady

ONE = CONFIG | {"learners": {"count": 1}}


async def joined(federation, number):
    """The first so many who joined."""
    told = []
    async with aclosing(federation.events()) as news:
        async for event in news:
            if event.kind is EventKind.LEARNER_JOINED:
                told.append(event.body)
                if len(told) == number:
                    return told
    return told


async def test_it_is_at_its_parent_before_its_learners_are_back_and_declares_what_it_did(tmp_path):
    spool, place = Spool(tmp_path), f"memory://root-{secrets.token_hex(4)}"
    spool.begin(b"of a session", resumed=False)
    spool.declare(Declared(30, 4, ("north",)))
    channel = build_transport("memory").connect(Address.parse(place))
    async with asyncio.timeout(20), Federation(ONE, addresses=[place]) as root, Relay(CONFIG) as relay:
        serving = asyncio.create_task(relay.serve(channel, "relay-0", spool=spool))
        (told,) = await joined(root, 1)
        assert (told["num_train_examples"], told["num_test_examples"], told["tags"]) == (30, 4, ["north"])
        for step in (1, 2):
            relay.add_learner(Steady(step), id=f"learner-{step}")
        results = await root.run()
        await serving
        await channel.close()
    assert [record.totals.examples for record in results.rounds] == [24, 24, 24]


async def test_what_it_says_of_its_learners_is_kept_with_the_session(tmp_path):
    place = f"memory://root-{secrets.token_hex(4)}"
    channel = build_transport("memory").connect(Address.parse(place))
    async with asyncio.timeout(20), Federation(ONE, addresses=[place]) as root, Relay(CONFIG) as relay:
        for step in (1, 2):
            relay.add_learner(Steady(step), id=f"learner-{step}")
        serving = asyncio.create_task(relay.serve(channel, "relay-0", spool=Spool(tmp_path)))
        await joined(root, 1)
        assert Spool(tmp_path).declared == Declared(24, 0, ())
        await relay.leave()
        await serving
        await channel.close()


@pytest.mark.parametrize("task", [TRAIN, EVALUATE], ids=["training", "evaluation"])
async def test_a_task_waits_until_as_many_learners_are_back_as_a_relay_begins_with(task):
    async with asyncio.timeout(20), Relay(CONFIG) as relay:
        answer = asyncio.ensure_future(relay._controller.ask(task))
        relay.add_learner(first := Steady(1), id="learner-1")
        await joined(relay, 1)
        assert (await relay.admin.status())["phase"] == "training"
        assert not first.seen
        relay.add_learner(Steady(2), id="learner-2")
        said = await answer
        assert (said.report.num_examples if task is TRAIN else said.num_examples) == (24 if task is TRAIN else 3)


@pytest.mark.parametrize(
    "damage", ["", "[]", "[1, 2]", "{}", '["x", 1, []]', "[1e999, 1, []]", "\x00", "[1, 1, 5]", "[-1, 1, []]", "[1, 1e300, []]"]
)
def test_a_note_that_is_none_is_as_if_it_were_not_there(tmp_path, damage):
    spool = Spool(tmp_path)
    spool.begin(b"of a session", resumed=False)
    (tmp_path / "declared").write_text(damage)
    assert spool.declared is None


def test_nothing_is_declared_without_a_session(tmp_path):
    spool = Spool(tmp_path)
    spool.declare(Declared(30, 4, ()))
    assert spool.declared is None
    spool.begin(b"of a session", resumed=False)
    assert Spool(tmp_path).declared == Declared(30, 4, ())
