"""What a controller holds of its learners' updates once they are folded: nothing."""

import asyncio
import gc
import time

import numpy as np

from fedactors import Federation
from fedactors.protocol import PushOpening

VALUES = 4_321
"""Of the model; so that no other test's has its size."""
LOOKS_MAX = 40
"""How often is looked before what is held counts as held for good: who let the last one go may be at it."""


class Still:
    num_train_examples = 1

    def __init__(self, context):
        pass

    def get_weights(self):
        return {"w": np.zeros(VALUES, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return weights, {}

    def evaluate(self, weights, params):
        """Every update is folded, and since the round's metric decides what comes next, nobody trains."""
        for _ in range(LOOKS_MAX):
            if not (held := updates_held()):
                break
            time.sleep(0.02)
        return {"held": held, "num_examples": 1}


def updates_held() -> int:
    """Openings with the weights of a small model in them."""
    openings = [found for found in gc.get_objects() if type(found) is PushOpening]
    return sum(len(opening.chunk) >= 4 * VALUES for opening in openings)


async def test_updates_that_travel_with_their_opening_are_let_go_of():
    stop = {"rounds": 2, "metric": {"name": "held", "target": 1e9}}
    async with asyncio.timeout(60), Federation({"learners": {"count": 3}, "stop": stop}) as federation:
        for _ in range(3):
            federation.add_learner(Still)
        await federation.admin.order("start")
        records = [event.body["record"] async for event in federation.events() if event.kind == "round_ended"]
    assert [record["metrics"]["held"] for record in records] == [0, 0]
