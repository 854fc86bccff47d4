"""A process that is killed is not one that has finished."""

import asyncio
import sys

import pytest

from fedactors.errors import EndOfStream
from fedactors.testing.conformance_transport import METHOD, connected, ending
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.tcp import TcpTransport

pytestmark = pytest.mark.e2e

TRANSPORTS = {"grpc": GrpcTransport(), "tcp": TcpTransport()}
PREAMBLES = {
    "grpc": "from fedactors.transport.grpc import GrpcTransport as Transport",
    "tcp": "from fedactors.transport.tcp import TcpTransport as Transport",
}
COMMON = """
import asyncio, sys
from fedactors.transport import Address
"""
CLIENT = """
async def main():
    stream = await Transport().connect(Address.parse(sys.argv[1])).open("/x/Y", timeout_s=20)
    await stream.send(b"here I am")
    await asyncio.sleep(60)
asyncio.run(main())
"""
LISTENER = """
async def accept(stream):
    await stream.send(b"here I am")
    await asyncio.sleep(60)
async def main():
    listener = await Transport().listen(Address.parse(sys.argv[1]), accept)
    print(listener.address, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.fixture(params=TRANSPORTS)
def scheme(request):
    return request.param


async def start(scheme, program, *arguments):
    pipe, whole = asyncio.subprocess.PIPE, COMMON + PREAMBLES[scheme] + program
    return await asyncio.create_subprocess_exec(sys.executable, "-c", whole, *arguments, stdout=pipe)


async def test_a_killed_client_is_a_cut(scheme):
    ends, first = asyncio.Queue(), asyncio.Event()

    async def accept(stream):
        assert await stream.receive() == b"here I am"
        first.set()
        ends.put_nowait(await ending(stream))

    async with connected(TRANSPORTS[scheme], Address(scheme, "127.0.0.1:0"), accept) as (_, listener):
        process = await start(scheme, CLIENT, str(listener.address))
        await first.wait()
        process.kill()
        await process.communicate()
        assert not isinstance(await asyncio.wait_for(ends.get(), 5), EndOfStream)


async def test_a_killed_listener_is_a_cut_and_its_successor_is_found_by_the_same_channel(scheme):
    process = await start(scheme, LISTENER, f"{scheme}://127.0.0.1:0")
    address = Address.parse((await process.stdout.readline()).decode().strip())
    channel = TRANSPORTS[scheme].connect(address)
    stream = await channel.open(METHOD, timeout_s=10)
    assert await stream.receive() == b"here I am"
    process.kill()
    assert not isinstance(await ending(stream), EndOfStream)
    await process.communicate()
    process = await start(scheme, LISTENER, str(address))
    stream = await channel.open(METHOD, timeout_s=20)
    assert await stream.receive() == b"here I am"
    process.kill()
    await process.communicate()
    await channel.close()
