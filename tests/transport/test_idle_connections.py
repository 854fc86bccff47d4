"""A listener keeps no connection that nobody uses."""

import asyncio

import pytest

from fedactors.testing.conformance_transport import connected
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from tests.hostile.http2 import PREFACE, SETTINGS, frame, wire

PLACE = Address.parse("grpc://127.0.0.1:0")
IMPATIENT = GrpcTransport(handshake_s=0.2, idle_s=0.2)


async def echo(stream):
    await stream.send(await stream.receive())


@pytest.mark.parametrize("begins", [[], [PREFACE[:9]], [PREFACE, frame(SETTINGS)]], ids=["silent", "half a preface", "no call"])
async def test_a_connection_on_which_nothing_is_called_is_ended(begins):
    async with connected(IMPATIENT, PLACE, echo) as (_, listener), wire(int(listener.address.place.rpartition(":")[2])) as peer:
        await peer.send(*begins)
        async with asyncio.timeout(20):
            await peer.until(b"\0never said")


async def test_who_needs_it_again_connects_again():
    async with connected(IMPATIENT, PLACE, echo) as (channel, _):
        for number in range(2):
            stream = await channel.open("/echo", timeout_s=10)
            await stream.send(b"%d" % number)
            assert await stream.receive() == b"%d" % number
            await stream.finish()
            await asyncio.sleep(0.5)
