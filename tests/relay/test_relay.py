"""A federation that is a tree, in one process: the root hears of relays, and comes to what it would without them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from fedactors import Federation
from fedactors.config import build_transport
from fedactors.record import RoundRecord
from fedactors.relay import Relay
from fedactors.transport import Address

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
        self.seen: list[tuple[int, int]] = []

    def get_weights(self):
        return {"w": np.zeros((3, 2), np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        self.seen.append((params.round, params.version))
        return {"w": weights["w"] + self.step}, {"num_batches": 2, "loss": float(self.step)}

    def evaluate(self, weights, params):
        return {"mean": weights["w"].mean(), "num_examples": int(self.step)}


@asynccontextmanager
async def tree(config: dict, *relays: list[Steady]) -> AsyncIterator[tuple[Federation, list[Relay]]]:
    """A root with relays, each of which has these learners."""
    place = f"memory://root-{secrets.token_hex(4)}"
    async with asyncio.timeout(30), Federation(config, addresses=[place]) as root:
        channel = build_transport("memory").connect(Address.parse(place))
        nodes = [Relay(config) for _ in relays]
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
