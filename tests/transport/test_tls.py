"""TLS between two processes: what is negotiated, who is whom, whom nobody trusts, and certificates that change."""

import asyncio
import socket
import ssl

import pytest

from fedactors.access.callers import Role
from fedactors.errors import AccessDenied, AddressError, StreamClosed, Unreachable
from fedactors.testing.conformance_transport import METHOD, echo
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.grpc_core import grpc
from fedactors.transport.grpc_credentials import configuration
from fedactors.transport.grpcs import GrpcsTransport
from fedactors.transport.tcp import TcpTransport
from fedactors.transport.tcp_streams import TcpStream
from fedactors.transport.tcps import TcpsTransport
from fedactors.transport.tls import Changing, TlsFiles
from tests.transport.certificates import LONG_AGO, Certificates, write

SCHEMES = {GrpcsTransport: "grpcs", TcpsTransport: "tcps"}
PLAIN = {GrpcsTransport: (GrpcTransport(), "grpc"), TcpsTransport: (TcpTransport(), "tcp")}
OPEN_S = 5.0
NEVER_S = 0.8


@pytest.fixture(params=SCHEMES, ids=SCHEMES.values())
def kind(request):
    """The transport that is held to it."""
    return request.param


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("stranger"))


class Listening:
    """A listener, and what one sees of it who opens a stream."""

    def __init__(self, transport, accept=echo):
        self.transport, self.accept = transport, accept

    async def __aenter__(self):
        self.listener = await self.transport.listen(Address(SCHEMES[type(self.transport)], "127.0.0.1:0"), self.accept)
        self.port = int(self.listener.address.place.rpartition(":")[2])
        return self

    async def __aexit__(self, *_):
        await self.listener.close(0)

    async def says(self, transport, *, credential="", timeout_s=OPEN_S, address=None):
        """What comes back for "hello"; or the error of trying."""
        channel = transport.connect(address or self.listener.address, credential=credential)
        try:
            stream = await channel.open(METHOD, timeout_s=timeout_s)
            await stream.send(b"hello")
            return await stream.receive()
        except (Unreachable, StreamClosed) as error:
            return error
        finally:
            await channel.close()


def handshake(port: int, version: ssl.TLSVersion, ca) -> str:
    """What a foreign client that speaks this version negotiates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=OPEN_S) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        return secure.version() or ""


def version(stream) -> str:
    """Of TLS, that a listener's stream is carried by."""
    if isinstance(stream, TcpStream):
        return stream._wire.transport.get_extra_info("ssl_object").version()
    return stream._context.auth_context()["ssl_tls_version"][0].decode()


async def test_two_sides_of_ours_speak_tls_1_3(authority, kind):
    seen = []

    async def note(stream):
        seen.append(version(stream))
        await echo(stream)

    async with Listening(authority.listening(kind), note) as listening:
        assert await listening.says(authority.calling(kind)) == b"hello"
    assert seen == ["TLSv1.3"]


async def test_nothing_below_tls_1_3_is_negotiated(authority, kind):
    async with Listening(authority.listening(kind)) as listening:
        assert await asyncio.to_thread(handshake, listening.port, ssl.TLSVersion.TLSv1_3, authority.ca) == "TLSv1.3"
        with pytest.raises(ssl.SSLError):
            await asyncio.to_thread(handshake, listening.port, ssl.TLSVersion.TLSv1_2, authority.ca)


async def test_a_client_does_not_speak_to_a_listener_that_knows_tls_1_2_alone(authority, kind):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server().values())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context) as server:
        channel = authority.calling(kind).connect(Address(SCHEMES[kind], f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        with pytest.raises(Unreachable, match="the last attempt failed"):
            await channel.open(METHOD, timeout_s=NEVER_S)
        await channel.close()


async def test_where_nobody_listens_it_is_said_and_nothing_of_certificates(authority, kind):
    channel = authority.calling(kind).connect(Address(SCHEMES[kind], "127.0.0.1:1"))
    with pytest.raises(Unreachable, match="Connection refused") as caught:
        await channel.open(METHOD, timeout_s=NEVER_S)
    await channel.close()
    assert "--certificate" not in str(caught.value)


async def test_a_credential_and_an_identity_arrive(authority, kind):
    seen = []

    async def note(stream):
        seen.append((stream.credential, stream.identity, stream.is_local))
        await echo(stream)

    async with Listening(authority.listening(kind, client_certificates="required"), note) as listening:
        hospital = authority.calling(kind, **authority.client(Role.LEARNER, "hospital 1"))
        assert await listening.says(hospital, credential="secret") == b"hello"
    assert seen == [("secret", "fedactors://learner/hospital%201", False)]


async def test_a_wrong_authority_is_named_at_once_and_no_token_is_sent_to_it(authority, stranger, kind):
    async with Listening(stranger.listening(kind)) as listening:
        denied = await listening.says(authority.calling(kind), credential="secret", timeout_s=60)
    assert isinstance(denied, AccessDenied)
    assert str(authority.ca) in str(denied)
    assert "--ca" in str(denied)
    assert "secret" not in str(denied)


async def test_another_host_s_certificate_is_not_trusted(authority, kind):
    async with Listening(authority.listening(kind, **authority.server("elsewhere.example", name="elsewhere"))) as listening:
        assert isinstance(await listening.says(authority.calling(kind)), AccessDenied)


async def test_an_expired_certificate_of_a_listener_is_not_trusted(authority, kind):
    async with Listening(authority.listening(kind, **authority.server("127.0.0.1", now=LONG_AGO, name="old"))) as listening:
        denied = await listening.says(authority.calling(kind))
    assert isinstance(denied, AccessDenied)
    assert "expired" in str(denied)


async def test_a_learner_s_certificate_is_no_controller_s(authority, kind):
    async with Listening(authority.listening(kind, **authority.client(Role.LEARNER, "mallory"))) as listening:
        denied = await listening.says(authority.calling(kind))
    assert isinstance(denied, AccessDenied)
    assert "purpose" in str(denied)


async def test_certificates_that_change_are_taken_without_a_restart(authority, stranger, tmp_path, kind):
    files = write(authority.authority, tmp_path, "unused") | authority.server("127.0.0.1", name="first")
    own = {what: tmp_path / path.name for what, path in files.items()}
    for what, path in files.items():
        own[what].write_bytes(path.read_bytes())
    async with Listening(authority.listening(kind, **own)) as listening:
        assert await listening.says(authority.calling(kind)) == b"hello"
        for what, path in stranger.server("127.0.0.1").items():
            path.replace(own[what])
        assert isinstance(await listening.says(authority.calling(kind)), AccessDenied)
        assert await listening.says(stranger.calling(kind)) == b"hello"


def test_certificates_that_do_not_fit_together_are_not_taken(authority, caplog):
    files = TlsFiles(**authority.server("127.0.0.1", name="halves"))
    changed = Changing(files, configuration).changed
    assert changed() is None
    key = files.key.read_bytes()
    files.key.write_bytes(authority.server("127.0.0.1", name="others")["key"].read_bytes())
    assert changed() is None
    assert "certificates_not_taken" in caplog.text
    files.key.write_bytes(key)
    assert isinstance(changed(), grpc.ServerCertificateConfiguration)
    assert changed() is None


async def test_plain_text_and_tls_do_not_meet(authority, kind):
    async with Listening(authority.listening(kind)) as listening:
        transport, scheme = PLAIN[kind]
        plain = Address(scheme, listening.listener.address.place)
        met = await listening.says(transport, address=plain, credential="secret", timeout_s=NEVER_S)
    assert isinstance(met, Unreachable)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, r'needs a certificate and its key; write certificate = "\.\.\."'),
        ({"certificate": "server.pem"}, "a certificate is given without its key; give both"),
        ({"certificate": "gone.pem", "key": "server.key"}, r"there is no file .*gone\.pem \(certificate\)"),
        ({"certificate": "server.pem", "key": "ca.key"}, "no certificate and its private key in PEM.*fedactors certs"),
        ({"certificate": "server.pem", "key": "server.key", "client_certificates": "required"}, r'write ca = "\.\.\."'),
        ({"certificate": "server.pem", "key": "server.key", "ca": "server.key"}, "no certificate that can be read"),
    ],
)
async def test_what_is_wrong_with_the_files_is_said_with_a_remedy(authority, kind, options, said):
    authority.server()
    paths = {what: value if what == "client_certificates" else authority.folder / value for what, value in options.items()}
    with pytest.raises(AddressError, match=said):
        await kind(**paths).listen(Address(SCHEMES[kind], "127.0.0.1:0"), echo)


def test_a_unix_socket_needs_no_tls(authority, kind):
    with pytest.raises(AddressError, match=r"write grpc:///run/fed\.sock"):
        authority.calling(kind).connect(Address(SCHEMES[kind], "/run/fed.sock"))
