"""Every transport keeps every promise of the interface."""

import pytest

from fedactors.testing.conformance_transport import TRANSPORT_CHECKS
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.memory import MemoryTransport


@pytest.fixture(params=["memory", "tcp", "unix"])
def place(request, tmp_path):
    return {
        "memory": (MemoryTransport(), Address.parse("memory://check")),
        "tcp": (GrpcTransport(), Address.parse("grpc://127.0.0.1:0")),
        "unix": (GrpcTransport(), Address("grpc", str(tmp_path / "s.sock"))),
    }[request.param]


@pytest.mark.parametrize("check", TRANSPORT_CHECKS, ids=lambda check: check.__name__)
async def test_a_transport_keeps_its_promise(place, check):
    await check(*place)
