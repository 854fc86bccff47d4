"""What a controller holds of its learners' updates once they are folded: nothing."""

import asyncio
import gc

import numpy as np

from fedactors import Federation
from fedactors.protocol import PushOpening

VALUES = 4_321
"""Of the model; so that no other test's has its size."""


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
        return {"loss": 1.0, "num_examples": 1}


def updates_held() -> int:
    """Openings with the weights of a small model in them."""
    gc.collect()
    openings = [found for found in gc.get_objects() if isinstance(found, PushOpening)]
    return sum(len(opening.chunk) >= 4 * VALUES for opening in openings)


async def test_updates_that_travel_with_their_opening_are_let_go_of():
    async with asyncio.timeout(30), Federation({"learners": {"count": 3}, "stop": {"rounds": 2}}) as federation:
        for _ in range(3):
            federation.add_learner(Still)
        await federation.admin.order("start")
        held = [updates_held() async for event in federation.events() if event.kind == "round_ended"]
    assert held[-1] == 0  # those of the second round may be here when the first one ends
