"""The learners of `round.py`, in a process of their own, which imports what a learner needs and nothing else.

python benchmarks/round_learners.py grpc://127.0.0.1:4450 --first 0 --count 5 --parameters 1M
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import uvloop

from fedactors import plugins
from fedactors.learner import Learner, LearnerClient
from fedactors.learner.worker import Worker
from fedactors.runtime.garbage import collect_seldom
from fedactors.transport import Address, Transport
from fedactors.transport.malloc import keep_freed_memory

sys.path.append(str(Path(__file__).parent / "peers"))
from workload import EXAMPLES, LOSS, WIDTHS, stress_model, trained


class Idle(Learner):
    """Gives back what it gets, plus a little."""

    num_train_examples = EXAMPLES

    def __init__(self, parameters: str) -> None:
        self.parameters = parameters

    def get_weights(self):
        return stress_model(self.parameters)

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {name: trained(tensor) for name, tensor in weights.items()}, {"num_batches": 1}

    def evaluate(self, weights, params):
        return {"loss": LOSS, "num_examples": EXAMPLES}


async def serve(address: Address, first: int, count: int, parameters: str, *, shared: bool) -> None:
    """Take part as so many learners; they train by turns, so that 200 large models fit into this process's memory."""
    transport: Transport = plugins.load("fedactors.transport", address.scheme)()
    worker = Worker("learners")
    channels = [transport.connect(address) for _ in range(1 if shared else count)]
    clients = [
        LearnerClient(Idle(parameters), f"learner-{first + place}", channels[place % len(channels)], work=worker)
        for place in range(count)
    ]
    await asyncio.gather(*(client.run() for client in clients))
    worker.stop()
    await asyncio.gather(*(channel.close() for channel in channels))


def main() -> None:
    """Serve until the federation is done."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("address", type=Address.parse, help="of the controller")
    parser.add_argument("--first", type=int, required=True, help="number of the first learner")
    parser.add_argument("--count", type=int, required=True, help="of learners")
    parser.add_argument("--parameters", choices=WIDTHS, required=True, help="of the model")
    parser.add_argument("--shared", action="store_true", help="one channel for all of them")
    arguments = parser.parse_args()
    keep_freed_memory()
    collect_seldom()
    uvloop.install()
    asyncio.run(serve(arguments.address, arguments.first, arguments.count, arguments.parameters, shared=arguments.shared))


if __name__ == "__main__":
    main()
