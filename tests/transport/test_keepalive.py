"""gRPC's own probes: a frozen connection is found out although nobody speaks."""

from __future__ import annotations

import asyncio

from fedactors.errors import EndOfStream
from fedactors.testing import FaultyWire
from fedactors.testing.conformance_transport import METHOD, connected, ending
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport

TCP = Address.parse("grpc://127.0.0.1:0")
LIVELY = GrpcTransport(keepalive_s=0.3, keepalive_timeout_s=0.3)


async def test_a_frozen_connection_is_lost_to_both_sides_after_the_probes_timeout():
    ends = asyncio.Queue()

    async def accept(stream):
        await stream.send(await stream.receive())
        ends.put_nowait(await ending(stream))

    async with connected(LIVELY, TCP, accept) as (_, listener), FaultyWire(listener.address) as wire:
        channel = LIVELY.connect(wire.address)
        stream = await channel.open(METHOD, timeout_s=5)
        await stream.send(b"hello")
        assert await stream.receive() == b"hello"
        wire.freeze()
        began_s = asyncio.get_running_loop().time()
        assert not isinstance(await ending(stream), EndOfStream)
        assert not isinstance(await ends.get(), EndOfStream)
        assert asyncio.get_running_loop().time() - began_s < 30.0  # gRPC left to itself takes a minute
        await channel.close()
