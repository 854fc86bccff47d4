"""What does a controller pay for a round of a thousand learners, and what with relays between them and it?

The same real learners (`LearnerClient`, its code run inline, a connection of its own over TCP for each) train for some rounds
once with a controller alone and once with relays before it. Controller, relays and learners are in processes of their own.

    python benchmarks/relays.py --smoke                20 learners, 2 relays, a few seconds
    python benchmarks/relays.py                        1,000 learners, 10 relays
    python benchmarks/relays.py --learners 200 --relays 5 --parameters 1000000 --json results.json

What the columns mean, all of them of the controller's process, a round on the average:

    updates      that it receives, folds and answers
    MB up, down  weights and reports that it receives and sends, as the rounds' records tell
    messages     that its actors handle, heartbeats not among them
    cpu s        processor time; unlike seconds, it hardly depends on who else uses the machine
    round s      from one round's beginning to its commit, where everything shares this machine's cores
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from fedactors import Federation, Learner
from fedactors.learner import LearnerClient
from fedactors.learner.client import Patience
from fedactors.learner.worker import inline
from fedactors.record import EventKind, RoundRecord
from fedactors.relay import Relay
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.malloc import keep_freed_memory

WORKERS = 2
"""Processes of learners, and of relays."""
PATIENCE_S = 300.0
ANYWHERE = "grpc://127.0.0.1:0"


class Tiny(Learner):
    """Gives back what it gets."""

    num_train_examples = 100

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters

    def get_weights(self):
        return {"w": np.zeros(self.parameters, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return weights, {"num_batches": 1, "loss": 1.0}

    def evaluate(self, weights, params):
        return {"loss": 1.0, "num_examples": 100}


def configuration(children: int, rounds: int) -> dict[str, Any]:
    """Of a controller, or of a relay, with so many children; the liveness of a crowded machine."""
    return {
        "name": "relays",
        "seed": 1,
        "learners": {"count": children, "join_timeout_s": PATIENCE_S},
        "aggregation": {"deterministic": False},
        "stop": {"rounds": rounds},
        "liveness": {"heartbeat_s": 10.0, "lost_after_s": 60.0, "hello_timeout_s": 60.0},
    }


# ------------------------------------------------------------------------------------------------------- processes beside this


async def serve_learners(address: str, first: int, count: int, parameters: int) -> None:
    """Learners in this process."""
    transport, place = GrpcTransport(), Address.parse(address)
    channels = [transport.connect(place) for _ in range(count)]
    clients = [
        LearnerClient(Tiny(parameters), f"learner-{first + index:06}", channel, patience=Patience(PATIENCE_S), work=inline)
        for index, channel in enumerate(channels)
    ]
    await asyncio.gather(*(client.run() for client in clients))
    await asyncio.gather(*(channel.close() for channel in channels))


async def serve_relays(root: str, first: int, children: Sequence[int]) -> None:
    """Relays in this process, of so many children each; a line says where they listen."""
    transport = GrpcTransport()
    async with AsyncExitStack() as exits:
        relays = [await exits.enter_async_context(Relay(configuration(count, 1), addresses=[ANYWHERE])) for count in children]
        print(json.dumps([str(relay.addresses[0]) for relay in relays]), flush=True)
        parent = transport.connect(Address.parse(root))
        patience = Patience(PATIENCE_S)
        await asyncio.gather(
            *(relay.serve(parent, f"relay-{first + index:03}", patience=patience) for index, relay in enumerate(relays))
        )
        await parent.close()


@asynccontextmanager
async def process(*arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """This file in another process, which does not outlive the block."""
    started = await asyncio.create_subprocess_exec(sys.executable, __file__, *map(str, arguments), stdout=asyncio.subprocess.PIPE)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


def shares(number: int, parts: int) -> list[int]:
    """So many, as evenly as possible in so many parts."""
    return [stop - start for start, stop in pairwise(np.linspace(0, number, parts + 1).astype(int).tolist())]


async def start_relays(exits: AsyncExitStack, root: str, children: Sequence[int]) -> list[str]:
    """Relays in a few processes; where each listens."""
    places: list[str] = []
    for share in shares(len(children), min(WORKERS, len(children))):
        mine = children[len(places) : len(places) + share]
        started = await exits.enter_async_context(process("--relays-of", root, len(places), json.dumps(mine)))
        assert started.stdout is not None
        places += json.loads(await started.stdout.readline())
    return places


async def start_learners(exits: AsyncExitStack, places: Sequence[str], counts: Sequence[int], parameters: int) -> None:
    """So many learners at each place; with one place, in several processes."""
    if len(places) == 1:
        places, counts = list(places) * WORKERS, shares(counts[0], WORKERS)
    first = 0
    for place, count in zip(places, counts, strict=True):
        await exits.enter_async_context(process("--learners-of", place, first, count, parameters))
        first += count


# ---------------------------------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True, slots=True)
class Figures:
    """One point; see the top of this file."""

    relays: int
    learners: int
    parameters: int
    rounds: int
    updates: float
    mb_up: float
    mb_down: float
    messages: float
    cpu_s: float
    round_s: float
    examples: float


def handled(federation: Federation) -> int:
    """Messages that the actors have handled."""
    return sum(actor.messages for actor in federation.statistics().actors)


async def measure(relays: int, arguments: argparse.Namespace) -> Figures:
    """One point; without relays, the learners come to the controller themselves."""
    learners, rounds = arguments.learners, arguments.rounds
    async with AsyncExitStack() as exits:
        config = configuration(relays or learners, rounds)
        root = await exits.enter_async_context(Federation(config, addresses=[ANYWHERE]))
        here, counts = str(root.addresses[0]), shares(learners, relays or 1)
        places = await start_relays(exits, here, counts) if relays else [here]
        await start_learners(exits, places, counts, arguments.parameters)
        records, joined, began = [], 0, (0, 0.0)
        async for event in root.events():
            joined += event.kind is EventKind.LEARNER_JOINED
            if event.kind is EventKind.LEARNER_JOINED and joined == (relays or learners):
                began = (handled(root), time.process_time())
                await root.admin.order("start")
            if event.kind is EventKind.ROUND_ENDED:
                records.append(RoundRecord.from_map(event.body["record"]))
            if event.kind is EventKind.ROUND_ENDED and len(records) == rounds:
                messages, cpu_s = handled(root) - began[0], time.process_time() - began[1]
    totals = [record.totals for record in records]
    return Figures(
        relays=relays,
        learners=learners,
        parameters=arguments.parameters,
        rounds=rounds,
        updates=sum(total.accepted for total in totals) / rounds,
        mb_up=sum(total.bytes_up for total in totals) / 1e6 / rounds,
        mb_down=sum(total.bytes_down for total in totals) / 1e6 / rounds,
        messages=messages / rounds,
        cpu_s=cpu_s / rounds,
        round_s=sum(record.duration_s for record in records) / rounds,
        examples=sum(total.examples for total in totals) / rounds,
    )


# ------------------------------------------------------------------------------------------------------------------------- main

COLUMNS = ("updates", "mb_up", "mb_down", "messages", "cpu_s", "round_s")


def row(name: str, values: Sequence[float]) -> str:
    """One line of the table."""
    return f"{name:>12}" + "".join(f"{value:>12,.3f}" for value in values)


def allow_files() -> None:
    """Let this process and its children open as many files as the system lets it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def compare(arguments: argparse.Namespace) -> tuple[Figures, Figures]:
    """Both points, and what the one is of the other."""
    size = f"{arguments.learners:,} learners, {arguments.relays} relays, {arguments.parameters:,} parameters"
    print(f"{os.cpu_count()} cores, {sys.platform}, Python {sys.version.split()[0]}, {size}, {arguments.rounds} rounds")
    print(f"{'':12}" + "".join(f"{title.replace('_', ' '):>12}" for title in COLUMNS), flush=True)
    flat = await measure(0, arguments)
    print(row("flat", [getattr(flat, name) for name in COLUMNS]), flush=True)
    tree = await measure(arguments.relays, arguments)
    print(row("tree", [getattr(tree, name) for name in COLUMNS]))
    print(row("tree / flat", [getattr(tree, name) / getattr(flat, name) for name in COLUMNS]))
    assert tree.examples == flat.examples == 100 * arguments.learners, "every learner has its part in every round"
    return flat, tree


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="20 learners, 2 relays, a few seconds")
    parser.add_argument("--learners", type=int, default=1_000)
    parser.add_argument("--relays", type=int, default=10)
    parser.add_argument("--parameters", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--learners-of", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--relays-of", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    keep_freed_memory()
    uvloop.install()
    allow_files()
    if arguments.learners_of:
        address, *numbers = arguments.learners_of
        return asyncio.run(serve_learners(address, *map(int, numbers)))
    if arguments.relays_of:
        root, first, children = arguments.relays_of
        return asyncio.run(serve_relays(root, int(first), json.loads(children)))
    if arguments.smoke:
        arguments.learners, arguments.relays, arguments.parameters, arguments.rounds = 20, 2, 1_000, 2
    figures = asyncio.run(compare(arguments))  # in one event loop: gRPC knows no second one
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(one) for one in figures], indent=2) + "\n", encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
