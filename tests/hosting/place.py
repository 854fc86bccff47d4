"""A directory of federations that listen within the process, and learners for them."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from textwrap import dedent

import numpy as np
from typing_extensions import override

from fedactors import Sharing
from fedactors.hosting.federations import Federations
from fedactors.learner import LearnerClient
from fedactors.protocol import SESSION
from fedactors.testing import ScriptedLearner
from fedactors.testing.learners import adds
from fedactors.transport import Address
from fedactors.transport.memory import MemoryTransport

PATIENCE_S = 30.0
FLOOD = 1000


class InNoTime(random.Random):
    """Has a learner come back almost at once."""

    @override
    def uniform(self, a, b):
        return 0.02


class Place:
    """A directory of federations, and one for their runs."""

    def __init__(self, path):
        self.path, self.folder, self.runs = path, path / "federations", path / "runs"
        self.folder.mkdir()

    def toml(self, name, rounds=3, more=""):
        """Of a federation that listens within the process."""
        return dedent(f"""
            name = "{name}"
            seed = 1
            controller.address = "memory://{self.path.name}-{name}"
            stop.rounds = {rounds}
            journal.updates = false
            """) + dedent(more)

    def write(self, name, rounds=3, more=""):
        """A configuration in the directory."""
        (self.folder / f"{name}.toml").write_text(self.toml(name, rounds, more))

    @asynccontextmanager
    async def served(self, **more):
        """The federations, all begun."""
        async with asyncio.timeout(PATIENCE_S):
            with Sharing(memory_bytes=64 * 2**20) as sharing:
                async with Federations(self.folder, self.runs, sharing, **more) as federations:
                    yield federations

    def channel(self, name):
        """To a federation."""
        return MemoryTransport().connect(Address("memory", f"{self.path.name}-{name}"))

    @asynccontextmanager
    async def learner(self, *names, train=None):
        """A learner of each of these federations."""
        learners = [ScriptedLearner({"w": np.zeros(8, np.float32)}, train=train or adds(1.0)) for _ in names]
        clients = [
            LearnerClient(one, "anna", self.channel(name), federation=name, rng=InNoTime())
            for one, name in zip(learners, names, strict=True)
        ]
        tasks = [asyncio.create_task(client.run()) for client in clients]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def flood(self, name):
        """Strangers who say nothing, or nonsense, on a thousand streams."""
        channel = self.channel(name)
        streams = [await channel.open(SESSION, timeout_s=PATIENCE_S) for _ in range(FLOOD)]
        for stream in streams[::2]:
            await stream.send(b"nonsense")
        try:
            yield
        finally:
            await channel.close()


def conditions(federations):
    """How each stands, in a word."""
    return {one.name: str(one.condition) for one in federations.standings}


def standing(federations, name):
    """How one stands."""
    return next(one for one in federations.standings if one.name == name)


async def until(condition):
    """The federations tell when asked."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
