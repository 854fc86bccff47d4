"""Where one can listen, and what one is told where one cannot."""

import socket

import pytest

from fedactors.errors import AddressError, LocalProtocolError
from fedactors.testing.conformance_transport import METHOD, connected, echo
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport, is_loopback
from fedactors.transport.memory import MemoryTransport
from fedactors.transport.tcp import TcpTransport

ANYWHERE = Address.parse("any://127.0.0.1:0")
GRPC = Address.parse("grpc://127.0.0.1:0")
PORTED = pytest.mark.parametrize("transport", [GrpcTransport(), TcpTransport()], ids=["grpc", "tcp"])


@pytest.mark.parametrize("text", ["127.0.0.1:4450", "grpc://", "://x", ""])
def test_an_address_has_a_scheme_and_a_place(text):
    with pytest.raises(AddressError, match="scheme://place"):
        Address.parse(text)


@pytest.mark.parametrize("place", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:http", ":4450", "127.0.0.1:65536", "run/fed.sock"])
def test_a_malformed_grpc_address_is_refused_by_both_sides(place):
    with pytest.raises(AddressError, match="neither grpc://host:port"):
        GrpcTransport().connect(Address("grpc", place))


@pytest.mark.parametrize("place", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:http", ":4450", "127.0.0.1:65536", "run/fed.sock"])
def test_a_malformed_tcp_address_is_refused_by_both_sides(place):
    with pytest.raises(AddressError, match="is not tcp://host:port"):
        TcpTransport().connect(Address("tcp", place))


async def test_a_unix_socket_is_left_to_grpc():
    with pytest.raises(AddressError, match=r"write grpc:///run/fed\.sock"):
        await TcpTransport().listen(Address("tcp", "/run/fed.sock"), echo)


@PORTED
async def test_an_occupied_port_is_named_with_a_remedy(transport):
    async with connected(transport, ANYWHERE, echo) as (_, listener):
        with pytest.raises(AddressError, match=r"port \d+ is in use; .*choose another port") as caught:
            await transport.listen(listener.address, echo)
        assert str(listener.address) in str(caught.value)


async def test_an_occupied_port_is_not_complained_of_on_stderr(capfd):
    async with connected(GrpcTransport(), GRPC, echo) as (_, listener):
        with pytest.raises(AddressError):
            await GrpcTransport().listen(listener.address, echo)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("place", ["192.0.2.1:0", "no.such.host.invalid:0"])
@PORTED
async def test_an_address_of_another_machine_is_refused(transport, place):
    with pytest.raises(AddressError, match="choose an address of this machine"):
        await transport.listen(Address("any", place), echo)


@PORTED
async def test_a_port_of_zero_becomes_a_real_one(transport):
    async with connected(transport, ANYWHERE, echo) as (_, listener):
        assert listener.address.place != ANYWHERE.place
        assert int(listener.address.place.rpartition(":")[2]) > 0


async def test_the_socket_of_a_dead_process_is_reclaimed(tmp_path):
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    async with connected(GrpcTransport(), Address("grpc", str(path)), echo) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=5)
        await stream.send(b"hello")
        assert await stream.receive() == b"hello"


async def test_the_socket_of_a_living_process_is_left_alone(tmp_path):
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen(0)
        for _ in range(2):
            with pytest.raises(AddressError, match="in use"):
                await GrpcTransport().listen(Address("grpc", str(path)), echo)
        assert path.is_socket()


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "s.sock"
    path.write_text("precious")
    with pytest.raises(AddressError, match="not a socket"):
        await GrpcTransport().listen(Address("grpc", str(path)), echo)
    assert path.read_text() == "precious"


async def test_a_missing_folder_and_a_long_path_are_named(tmp_path):
    with pytest.raises(AddressError, match="does not exist; create it"):
        await GrpcTransport().listen(Address("grpc", str(tmp_path / "missing" / "s.sock")), echo)
    with pytest.raises(AddressError, match="shorter"):
        await GrpcTransport().listen(Address("grpc", str(tmp_path / ("s" * 120))), echo)


async def test_a_unix_socket_is_its_owners_alone_and_goes_with_its_listener(tmp_path):
    path = tmp_path / "s.sock"
    listener = await GrpcTransport().listen(Address("grpc", str(path)), echo)
    assert path.stat().st_mode & 0o777 == 0o600
    await listener.close(0)
    assert not path.exists()


@pytest.mark.parametrize(
    ("place", "answer"),
    [
        ("127.0.0.1:1", True), ("127.9.9.9:1", True), ("localhost:1", True), ("[::1]:1", True), ("/run/s.sock", True),
        ("0.0.0.0:1", False), ("10.0.0.1:1", False), ("example.org:1", False), ("[::]:1", False),
    ],
)  # fmt: skip
def test_what_only_this_machine_can_reach_is_loopback(place, answer):
    assert is_loopback(Address("grpc", place)) is answer


@pytest.mark.parametrize("transport", [MemoryTransport(), GrpcTransport(), TcpTransport()], ids=["memory", "grpc", "tcp"])
async def test_a_closed_channel_opens_nothing(transport):
    channel = transport.connect(Address("any", "127.0.0.1:1"))
    await channel.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        await channel.open(METHOD, timeout_s=1)


async def test_a_proxy_of_the_environment_is_not_asked_for_the_way_to_this_machine(monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with connected(GrpcTransport(), GRPC, echo) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=5)
        await stream.send(b"hello")
        assert await stream.receive() == b"hello"
