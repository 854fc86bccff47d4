"""A process that is killed is not one that has finished."""

import asyncio
import sys

import pytest

from fedactors.errors import EndOfStream
from fedactors.testing.conformance_transport import METHOD, connected, ending
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport

pytestmark = pytest.mark.e2e

TCP = Address.parse("grpc://127.0.0.1:0")
PREAMBLE = """
import asyncio, sys
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
"""
CLIENT = """
async def main():
    stream = await GrpcTransport().connect(Address.parse(sys.argv[1])).open("/x/Y", timeout_s=20)
    await stream.send(b"here I am")
    await asyncio.sleep(60)
asyncio.run(main())
"""
LISTENER = """
async def accept(stream):
    await stream.send(b"here I am")
    await asyncio.sleep(60)
async def main():
    listener = await GrpcTransport().listen(Address.parse(sys.argv[1]), accept)
    print(listener.address, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def start(program, *arguments):
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", PREAMBLE + program, *arguments, stdout=pipe)


async def test_a_killed_client_is_a_cut():
    ends, first = asyncio.Queue(), asyncio.Event()

    async def accept(stream):
        assert await stream.receive() == b"here I am"
        first.set()
        ends.put_nowait(await ending(stream))

    async with connected(GrpcTransport(), TCP, accept) as (_, listener):
        process = await start(CLIENT, str(listener.address))
        await first.wait()
        process.kill()
        await process.communicate()
        assert not isinstance(await asyncio.wait_for(ends.get(), 5), EndOfStream)


async def test_a_killed_listener_is_a_cut_and_its_successor_is_found_by_the_same_channel():
    process = await start(LISTENER, str(TCP))
    address = Address.parse((await process.stdout.readline()).decode().strip())
    channel = GrpcTransport().connect(address)
    stream = await channel.open(METHOD, timeout_s=10)
    assert await stream.receive() == b"here I am"
    process.kill()
    assert not isinstance(await ending(stream), EndOfStream)
    await process.communicate()
    process = await start(LISTENER, str(address))
    stream = await channel.open(METHOD, timeout_s=20)
    assert await stream.receive() == b"here I am"
    process.kill()
    await process.communicate()
    await channel.close()
