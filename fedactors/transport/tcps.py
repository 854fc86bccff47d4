"""Frames over TCP and TLS 1.3: `tcps://host:port`. As `tcp`, but for who may read along, and who is who."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import override

from fedactors.errors import AccessDenied, Unreachable
from fedactors.transport.base import Accept, Address, Admit, everybody
from fedactors.transport.tcp import TcpChannel, TcpListener, TcpTransport, check_address
from fedactors.transport.tcp_wire import Wire
from fedactors.transport.tls import Changing, TlsFiles, check_listening

NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
"""Reasons that OpenSSL gives where the peer does not speak TLS."""


@dataclass(frozen=True, slots=True)
class TcpsTransport(TcpTransport):
    """TCP with TLS 1.3, mutual where client certificates are demanded.

    Attributes:
        ca: PEM file with the certificates of those who may sign the other side's. Without it a client trusts whom this system
            trusts, and a listener cannot demand client certificates.
        certificate: this side's, in PEM; a client needs one only where it is demanded.
        key: its private key.
        client_certificates: whether a listener demands certificates of its clients: required or off.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    client_certificates: Literal["required", "off"] = "off"

    @property
    def files(self) -> TlsFiles:
        """This side's."""
        return TlsFiles(self.ca, self.certificate, self.key)

    @override
    def check(self) -> None:
        self.files.check()

    @override
    async def listen(self, address: Address, accept: Accept, admit: Admit = everybody) -> TcpListener:
        check_address(address)
        demands = self.client_certificates == "required"
        check_listening(self.files, demands_certificates=demands)
        return await self._listen(address, accept, admit, ServerSide(self.files, demands).context)

    @override
    def connect(self, address: Address, *, credential: str = "") -> TcpsChannel:
        check_address(address)
        self.files.check()
        return TcpsChannel(address, self, credential)


class ServerSide:
    """A listener's end of TLS; files that change take effect with the next connection."""

    def __init__(self, files: TlsFiles, demands: bool) -> None:
        self._demands = demands
        self._changing = Changing(files, self._made)
        self._context = self._made(files)

    def _made(self, files: TlsFiles) -> ssl.SSLContext:
        context = _shown(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files)
        if self._demands:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(files.ca)
        return context

    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        self._context = self._changing.changed() or self._context
        return self._context


class TcpsChannel(TcpChannel):
    """Opens streams to a listener that this side trusts."""

    def __init__(self, address: Address, transport: TcpsTransport, credential: str) -> None:
        super().__init__(address, transport, credential)
        self._files = transport.files
        self._changing = Changing(self._files, _client_side)
        self._context = _client_side(self._files)

    @override
    async def _connect(self, wire: Wire) -> None:
        self._context = self._changing.changed() or self._context
        host, port = self._place
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: wire, host, port, ssl=self._context, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            known = "those that this system trusts" if self._files.ca is None else str(self._files.ca)
            said = f"{self._address} shows a certificate that is not trusted here (trusted: {known}): {error.verify_message}"
            remedy = "give the controller's CA by --ca or in [tls], and an address that its certificate names"
            raise AccessDenied(f"{said}; {remedy}") from error
        except ssl.SSLError as error:
            if error.reason in NO_TLS:
                raise Unreachable(f"{self._address} does not speak TLS: write tcp:// in the address, or grpc://") from error
            raise

    @property
    @override
    def _hint(self) -> str:
        return "does it demand a certificate (--certificate, --key), or is it a port of grpcs://?"


def _client_side(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if files.ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(files.ca)
    return _shown(context, files)


def _shown(context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if files.certificate is not None:
        context.load_cert_chain(files.certificate, files.key)
    return context
