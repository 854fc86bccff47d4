"""Ourselves on Ray: the controller is this process, learners live in one actor a core, models go through shared memory."""

from __future__ import annotations

import asyncio

import uvloop
from marks import mark
from network import is_private
from runner import Request, main
from workload import EXAMPLES, LOSS, stress_model, trained

from fedactors import Federation
from fedactors.runtime.garbage import collect_seldom
from fedactors.runtime.switching import take_short_turns
from fedactors.transport.malloc import keep_freed_memory


class StressLearner:
    """Gives back what came, plus a little."""

    num_train_examples = EXAMPLES

    def __init__(self, parameters: str) -> None:
        self.parameters = parameters

    def get_weights(self):
        return stress_model(self.parameters)

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {name: trained(tensor) for name, tensor in weights.items()}, {}

    def evaluate(self, weights, params):
        return {"loss": LOSS, "num_examples": EXAMPLES}


def simulate(request: Request) -> None:
    """All rounds."""
    if not is_private():
        raise SystemExit("Ray listens on every interface: start it with `python network.py PYTHON fedactors_ray.py ...`")
    keep_freed_memory()
    collect_seldom()
    take_short_turns()
    uvloop.install()
    asyncio.run(rounds(request))


async def rounds(request: Request) -> None:
    """A federation of that many learners; each round's end is noted."""
    config = {
        "name": "stress",
        "learners": {"count": request.learners},
        "stop": {"rounds": request.rounds},
        "runtime": {"engine": "ray"},
    }
    async with Federation(config) as federation:
        for _ in range(request.learners):
            federation.add_learner(lambda _: StressLearner(request.parameters))
        await federation.admin.order("start")
        async for event in federation.events():
            if event.kind == "round_ended":
                parts = event.body["record"]["learners"].values()
                mark(request.marks, sum(bool(part["eval_metrics"]) for part in parts))


if __name__ == "__main__":
    main("fedactors_ray", "fedactors", simulate)
