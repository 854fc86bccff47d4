"""Federations over plain TCP, and over TCP and gRPC at once: the same bits."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import numpy as np
import pytest

from fedactors import Federation
from fedactors.learner import LearnerClient
from fedactors.learner.worker import inline
from fedactors.testing import ScriptedLearner
from fedactors.testing.learners import adds
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.tcp import TcpTransport

pytestmark = pytest.mark.e2e

TRANSPORTS = {"grpc": GrpcTransport(), "tcp": TcpTransport()}
MODEL = {"a": np.linspace(0, 1, 400_000, dtype=np.float32), "b": np.zeros(3, np.float32)}
TABLE = {"name": "wired", "seed": 3, "learners": {"count": 3, "min": 3}, "stop": {"rounds": 3}}


async def sha256_over(*schemes: str) -> str:
    """Of the last version, learners by turns over these: the federation listens at one address for each."""
    async with asyncio.timeout(30), AsyncExitStack() as exits:
        listening = Federation(TABLE, addresses=[f"{scheme}://127.0.0.1:0" for scheme in dict.fromkeys(schemes)])
        federation = await exits.enter_async_context(listening)
        places = {address.scheme: address for address in federation.addresses}
        async with asyncio.TaskGroup() as group:
            for index, scheme in enumerate(schemes):
                channel = TRANSPORTS[scheme].connect(places[scheme])
                exits.push_async_callback(channel.close)
                learner = ScriptedLearner(MODEL, train=adds(float(index)))
                group.create_task(LearnerClient(learner, f"learner-{index}", channel, work=inline).run())
            await federation.admin.order("start")
            events = [event async for event in federation.events()]
        assert [event.body["round"] for event in events if event.kind == "round_committed"] == [1, 2, 3]
        return (await federation.model()).sha256


async def test_a_federation_over_tcp_and_over_both_gives_the_bits_that_it_gives_over_grpc():
    over_grpc = await sha256_over("grpc", "grpc", "grpc")
    assert await sha256_over("tcp", "tcp", "tcp") == over_grpc
    assert await sha256_over("grpc", "tcp", "tcp") == over_grpc
