"""Every transport keeps every promise of the interface."""

import pytest

from fedactors.testing.conformance_transport import TRANSPORT_CHECKS
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.memory import MemoryTransport
from fedactors.transport.tcp import TcpTransport
from fedactors.transport.tcps import TcpsTransport
from tests.transport.certificates import Certificates


@pytest.fixture(params=["memory", "grpc", "grpc-unix", "grpcs", "tcp", "tcps"])
def place(request, tmp_path):
    certificates = Certificates(tmp_path)
    return {
        "memory": (MemoryTransport(), Address.parse("memory://check")),
        "grpc": (GrpcTransport(), Address.parse("grpc://127.0.0.1:0")),
        "grpc-unix": (GrpcTransport(), Address("grpc", str(tmp_path / "s.sock"))),
        "grpcs": (certificates.listening(), Address.parse("grpcs://127.0.0.1:0")),
        "tcp": (TcpTransport(), Address.parse("tcp://127.0.0.1:0")),
        "tcps": (certificates.listening(TcpsTransport), Address.parse("tcps://127.0.0.1:0")),
    }[request.param]


@pytest.mark.parametrize("check", TRANSPORT_CHECKS, ids=lambda check: check.__name__)
async def test_a_transport_keeps_its_promise(place, check):
    await check(*place)
