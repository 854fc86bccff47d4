"""Every transport keeps every promise of the interface."""

import pytest

from fedactors.testing.conformance_transport import TRANSPORT_CHECKS
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.memory import MemoryTransport
from tests.transport.certificates import Certificates


@pytest.fixture(params=["memory", "tcp", "unix", "tls"])
def place(request, tmp_path):
    certificates = Certificates(tmp_path)
    return {
        "memory": (MemoryTransport(), Address.parse("memory://check")),
        "tcp": (GrpcTransport(), Address.parse("grpc://127.0.0.1:0")),
        "unix": (GrpcTransport(), Address("grpc", str(tmp_path / "s.sock"))),
        "tls": (certificates.listening(), Address.parse("grpcs://127.0.0.1:0")),
    }[request.param]


@pytest.mark.parametrize("check", TRANSPORT_CHECKS, ids=lambda check: check.__name__)
async def test_a_transport_keeps_its_promise(place, check):
    await check(*place)
