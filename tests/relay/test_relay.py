"""A federation that is a tree, in one process: the root hears of relays, and comes to what it would without them."""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from fedactors import Federation
from fedactors.actors.ledger import Ledger
from fedactors.actors.life import Life
from fedactors.actors.relay_aggregator import RelayAggregator
from fedactors.aggregation.ordered import OrderedFold
from fedactors.config import build_transport
from fedactors.errors import ConfigError, FederationFailed
from fedactors.learner import LearnerClient
from fedactors.record import EventKind, RoundRecord
from fedactors.relay import Relay
from fedactors.scheduling.rounds import RoundsSchedule
from fedactors.storage.memory import MemoryStorage
from fedactors.transport import Address
from tests.actors.test_survival import fail_once

CONFIG = {
    "name": "tree",
    "seed": 7,
    "learners": {"count": 2, "join_timeout_s": 10.0},
    "aggregation": {"deterministic": True},
    "stop": {"rounds": 3},
}


class Steady:
    """Adds its own step to every weight; its data are as many as its step says."""

    def __init__(self, step: int):
        self.step = np.float32(step)
        self.num_train_examples = 8 * step
        self.seen: list[tuple[int, int, int | None]] = []

    def get_weights(self):
        return {"w": np.zeros((3, 2), np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        self.seen.append((params.round, params.version, params.steps))
        return {"w": weights["w"] + self.step}, {"num_batches": 2, "loss": float(self.step)}

    def evaluate(self, weights, params):
        return {"mean": weights["w"].mean(), "num_examples": int(self.step)}


@asynccontextmanager
async def tree(config: dict, *relays: list[Steady], below: dict | None = None) -> AsyncIterator[tuple[Federation, list[Relay]]]:
    """A root with relays, each of which has these learners; `below`: the configuration of the relays, if it is another."""
    place = f"memory://root-{secrets.token_hex(4)}"
    async with asyncio.timeout(30), Federation(config, addresses=[place]) as root:
        channel = build_transport("memory").connect(Address.parse(place))
        nodes = [Relay(config if below is None else below) for _ in relays]
        serving = []
        try:
            for index, (node, learners) in enumerate(zip(nodes, relays, strict=True)):
                await node.__aenter__()
                for number, learner in enumerate(learners):
                    node.add_learner(learner, id=f"learner-{index}-{number}")
                serving.append(asyncio.create_task(node.serve(channel, f"relay-{index}")))
            yield root, nodes
            await asyncio.gather(*serving)
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
            for node in nodes:
                await node.__aexit__(None, None, None)
            await channel.close()


async def flat(config: dict, *learners: Steady):
    """The same learners with the root alone."""
    config = config | {"learners": {"count": len(learners)}}
    async with asyncio.timeout(30), Federation(config) as federation:
        for number, learner in enumerate(learners):
            federation.add_learner(learner, id=f"learner-{number}")
        results = await federation.run()
        return results, (await federation.model()).weights["w"]


def parts(record: RoundRecord):
    return {learner: (part.examples, part.batches, part.train_metrics) for learner, part in record.learners.items()}


async def test_a_tree_comes_to_what_the_flat_federation_does():
    steps = [1, 2, 3, 6]
    async with tree(CONFIG, [Steady(1), Steady(2)], [Steady(3), Steady(6)]) as (root, _):
        results = await root.run()
        weights = (await root.model()).weights["w"]
    expected, alone = await flat(CONFIG, *map(Steady, steps))
    np.testing.assert_allclose(weights, alone, rtol=1e-6)
    assert [record.metrics["mean"] for record in results.rounds] == pytest.approx(
        [record.metrics["mean"] for record in expected.rounds]
    )
    assert [record.totals.examples for record in results.rounds] == [96, 96, 96]
    assert [record.totals.examples_evaluated for record in results.rounds] == [12, 12, 12]
    assert parts(results.rounds[0]) == {
        "relay-0": (24, 4, {"loss": pytest.approx(5 / 3)}),
        "relay-1": (72, 4, {"loss": pytest.approx(5.0)}),
    }


async def test_children_train_from_the_parents_versions_and_hear_of_the_end():
    learners = [Steady(1), Steady(2)]
    async with tree(CONFIG, learners, [Steady(3), Steady(6)]) as (root, nodes):
        await root.run()
        await asyncio.gather(*nodes[0]._learners.values())
    assert all(learner.seen == [(1, 0, None), (2, 1, None), (3, 2, None)] for learner in learners)


async def test_a_relay_may_have_relays_below_it():
    place = f"memory://middle-{secrets.token_hex(4)}"
    config = CONFIG | {"learners": {"count": 1}}
    async with tree(config, []) as (root, (middle,)):
        below = build_transport("memory").connect(middle._inside)
        async with Relay(config, addresses=[place]) as leaf:
            for number in (1, 3):
                leaf.add_learner(Steady(number), id=f"learner-{number}")
            serving = asyncio.create_task(leaf.serve(below, "leaf"))
            results = await root.run()
            weights = (await root.model()).weights["w"]
            await serving
        await below.close()
    np.testing.assert_allclose(weights, np.full((3, 2), 3 * 2.5), rtol=1e-6)
    assert {learner for record in results.rounds for learner in record.learners} == {"relay-0"}


STREAMING = {"name": "asynchronous"}, {"name": "buffered", "options": {"updates": 2}}


@pytest.mark.parametrize("protocol", STREAMING, ids=lambda protocol: protocol["name"])
async def test_a_relay_is_a_learner_where_rounds_do_not_wait(protocol):
    config = CONFIG | {"protocol": protocol, "stop": {"rounds": 4}}
    learners = [Steady(1), Steady(2)]
    async with tree(config, learners, [Steady(3), Steady(6)]) as (root, _):
        results = await root.run()
    assert len(results.rounds) == 4
    assert not results.failed
    assert {learner for record in results.rounds for learner in record.learners} <= {"relay-0", "relay-1"}
    assert learners[0].seen[0] == (1, 0, None)


class Paced(Steady):
    """Says how long it takes."""

    def train(self, weights, params):
        weights, metrics = super().train(weights, params)
        return weights, metrics | {"ms_per_batch": 10.0 * float(self.step), "ms_per_epoch": 100.0 * float(self.step)}


async def test_a_semi_synchronous_round_waits_for_the_slowest_learner_of_a_relay():
    config = CONFIG | {"protocol": {"name": "semi_synchronous", "options": {"pace": 1.0}}, "stop": {"rounds": 2}}
    quick, slow = [Paced(1), Paced(2)], [Paced(4), Paced(5)]
    async with tree(config, quick, slow) as (root, _):
        await root.run()
    assert [learner.seen[1][2] for learner in (*quick, *slow)] == [25, 25, 10, 10]


async def test_updates_may_be_weighed_by_a_metric():
    config = CONFIG | {"aggregation": {"weighting": "metric:loss", "deterministic": True}, "stop": {"rounds": 1}}
    async with tree(config, [Steady(1), Steady(2)], [Steady(3), Steady(6)]) as (root, _):
        results = await root.run()
        weights = (await root.model()).weights["w"]
    assert parts(results.rounds[0])["relay-1"][2] == {"loss": 9.0}
    np.testing.assert_allclose(weights, np.full((3, 2), (1 + 4 + 9 + 36) / 12), rtol=1e-6)


class Broken(Steady):
    def train(self, weights, params):
        raise ValueError("the disk is gone")


async def test_a_round_that_comes_to_nothing_fails_the_parents_task_with_the_reason():
    async with tree(CONFIG | {"stop": {"rounds": 1}}, [Broken(1), Broken(2)], [Steady(3), Steady(6)]) as (root, _):
        results = await root.run()
    refused = results.rounds[0].learners["relay-0"].refused
    assert refused.startswith("learner_failed: round 1 was abandoned: 0 of at least 1 updates came")
    assert "learner-0-0, learner-0-1: train failed: ValueError: the disk is gone" in refused


async def test_a_learner_that_breaks_costs_its_own_share_alone():
    async with tree(CONFIG | {"stop": {"rounds": 1}}, [Broken(1), Steady(2)], [Steady(3), Steady(6)]) as (root, _):
        results = await root.run()
    assert parts(results.rounds[0])["relay-0"][0] == 16


async def test_a_relay_without_learners_fails_its_task_once_it_has_waited():
    config = CONFIG | {"learners": {"count": 1, "join_timeout_s": 0.2}, "stop": {"rounds": 2}}
    loop = asyncio.get_running_loop()

    class Leaving(Steady):
        def train(self, weights, params):
            if params.round == 2:
                loop.call_soon_threadsafe(nodes[0]._learners["learner-0-0"].cancel)
            return super().train(weights, params)

    async with tree(config, [Leaving(1)], [Steady(3)]) as (root, nodes):
        await root.admin.order("start")
        refused = [event.body async for event in root.events() if event.kind is EventKind.UPDATE_REFUSED]
    assert (refused[0]["round"], refused[0]["learner"]) == (2, "relay-0")
    assert refused[0]["why"] == "0 of at least 1 learners were here for 0.2 s (learners.join_timeout_s)"


async def test_what_the_parent_calls_off_is_called_off_below():
    config = CONFIG | {"protocol": {"name": "synchronous", "options": {"round_timeout_s": 0.3}}, "stop": {"rounds": 2}}
    released = threading.Event()

    class Slow(Steady):
        def train(self, weights, params):
            if params.round == 1:
                released.wait(10)
            return super().train(weights, params)

    async def called_off(relay: Relay) -> None:
        async for event in relay.events():
            if event.kind is EventKind.ROUND_ABANDONED:
                assert event.body["round"] == 1
                released.set()
                break

    async with tree(config, [Slow(1), Slow(2)], [Steady(3), Steady(6)], below=CONFIG) as (root, nodes):
        listening = asyncio.create_task(called_off(nodes[0]))
        results = await root.run()
        await listening
    assert released.is_set()
    assert not results.rounds[0].learners["relay-0"].contributed


async def test_learners_of_a_relay_that_leaves_come_back_to_the_next_one():
    place, config = f"memory://relay-{secrets.token_hex(4)}", CONFIG | {"learners": {"count": 1}}
    channel, nowhere = (build_transport("memory").connect(Address.parse(at)) for at in (place, "memory://nowhere"))
    learner = LearnerClient(Steady(1), "learner", channel)
    async with asyncio.timeout(30):
        async with Relay(config, addresses=[place]) as first:
            running = asyncio.create_task(learner.run())
            serving = asyncio.create_task(first.serve(nowhere, "relay"))
            async for event in first.events():
                if event.kind is EventKind.LEARNER_JOINED:
                    break
            await first.leave()
            await serving
        async with Relay(config, addresses=[place]) as second:
            async for event in second.events():
                if event.kind is EventKind.LEARNER_JOINED:
                    break
            await second.close()
        await running


FAILURES = [
    (OrderedFold, "add", 1),
    (RelayAggregator, "_begin_anew", 2),
    (RelayAggregator, "_commit", 2),
    (RoundsSchedule, "handle", 15),
    (Life, "publish", 11),
    (MemoryStorage, "put", 3),
    (Ledger, "committed", 2),
]


@pytest.mark.parametrize(("owner", "name", "at"), FAILURES, ids=lambda value: getattr(value, "__name__", str(value)))
async def test_a_tree_survives_a_failure_of(monkeypatch, owner, name, at):
    calls = fail_once(monkeypatch, owner, name, at)
    async with tree(CONFIG, [Steady(1), Steady(2)], [Steady(3), Steady(6)]) as (root, _):
        results = await root.run()
        weights = (await root.model()).weights["w"]
    assert calls["all"] > at, "the failure was not the last call"
    assert not results.failed
    if owner is not Life:  # a relay whose controlling actor fails has lost its share of that round
        np.testing.assert_allclose(weights, np.full((3, 2), 3 * (1 + 4 + 9 + 36) / 12), rtol=1e-6)


DISAGREEMENTS = [
    ({"model": {"local": ["head.*"]}}, {}, "the parent's model.local is ['head.*'], and this relay's is []"),
    ({"aggregation": {"rule": "scaffold"}}, {}, "the parent asks for control variates"),
    ({"dp": {"mechanism": "local", "clip_norm": 1.0, "noise_multiplier": 1.0}}, {}, "the parent asks for other noise"),
]


@pytest.mark.parametrize(("above", "below", "said"), DISAGREEMENTS, ids=lambda value: str(value)[:20])
async def test_a_parent_that_asks_for_something_else_is_one_clear_error(above, below, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        async with tree(CONFIG | above, [Steady(1), Steady(2)], below=CONFIG | below):
            pass


async def test_a_relay_takes_orders_to_end_alone():
    async with asyncio.timeout(30), Relay(CONFIG) as relay:
        with pytest.raises(FederationFailed, match="a relay's rounds are its parent's; have start done at the root of the tree"):
            await relay.admin.order("start")
        assert (await relay.admin.status())["phase"] == "waiting"
        await relay.close()
