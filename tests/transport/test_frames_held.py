"""A stream that waits holds no frame: there are hundreds, and a frame of weights is a megabyte."""

import asyncio
import sys

import pytest

from fedactors.testing.conformance_transport import connected
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.memory import MemoryTransport
from fedactors.transport.tcp import TcpTransport

FRAME_BYTES = 1024 * 1024
OURS = 2
"""References to what a variable of the caller's holds: that variable, and getrefcount's own."""

TRANSPORTS = {
    "memory": (MemoryTransport(), Address.parse("memory://held")),
    "grpc": (GrpcTransport(), Address.parse("grpc://127.0.0.1:0")),
    "tcp": (TcpTransport(), Address.parse("tcp://127.0.0.1:0")),
}


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_who_has_received_a_frame_is_the_only_one_who_holds_it(name):
    references = asyncio.get_running_loop().create_future()

    async def accept(stream):
        frame = await stream.receive()
        await stream.send(bytes(FRAME_BYTES))
        await stream.receive()  # the reader has long begun to wait for the next one
        references.set_result(sys.getrefcount(frame))

    async with connected(*TRANSPORTS[name], accept) as (channel, _):
        stream = await channel.open("/held", timeout_s=10)
        await stream.send(bytes(FRAME_BYTES))
        frame = await stream.receive()
        await stream.send(b"go on")
        assert await asyncio.wait_for(references, 10) == OURS
        assert sys.getrefcount(frame) == OURS
        await stream.finish()
