"""Frames over gRPC and TLS 1.3: `grpcs://host:port`. As `grpc`, but for who may read along, and who is who."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import override

from fedactors.errors import AccessDenied, AddressError
from fedactors.transport.base import Accept, Address, Admit, everybody
from fedactors.transport.grpc import NOT_THERE, GrpcChannel, GrpcListener, GrpcTransport, Options, socket_path
from fedactors.transport.grpc_core import grpc
from fedactors.transport.grpc_credentials import channel_credentials, server_credentials
from fedactors.transport.grpc_streams import Call
from fedactors.transport.tls import Stamp, TlsFiles

LOOK_S = 0.2
"""Between two looks at a connection that is not there yet: whether the listener is one that is not trusted."""
NOT_TRUSTED = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification", "not in peer certificate")
"""What gRPC says, among other things, of a listener's certificate that cannot be verified."""


@dataclass(frozen=True, slots=True)
class GrpcsTransport(GrpcTransport):
    """gRPC with TLS 1.3, mutual where client certificates are demanded.

    Attributes:
        ca: PEM file with the certificates of those who may sign the other side's. Without it a client trusts whom gRPC trusts
            by itself, and a listener cannot demand client certificates.
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
    async def listen(self, address: Address, accept: Accept, admit: Admit = everybody) -> GrpcListener:
        _check_tcp(address)
        self.files.check()
        return await GrpcTransport.listen(self, address, accept, admit)

    @override
    def _bind(self, server: grpc.aio.Server, place: str) -> int:
        demands = self.client_certificates == "required"
        return server.add_secure_port(place, server_credentials(self.files, demands_certificates=demands))

    @override
    def connect(self, address: Address, *, credential: str = "") -> GrpcsChannel:
        _check_tcp(address)
        self.files.check()
        return GrpcsChannel(address, self._client_options(address), self.frame_bytes_max, credential, self.files)


class GrpcsChannel(GrpcChannel):
    """A connection to a listener that this side trusts."""

    def __init__(self, address: Address, options: Options, frame_bytes_max: int, credential: str, files: TlsFiles) -> None:
        super().__init__(address, options, frame_bytes_max, credential)
        self._files = files
        self._dialled: Stamp = ()
        self._heard = ""

    @override
    def _dial(self) -> grpc.aio.Channel:
        self._dialled = self._files.stamp
        return grpc.aio.secure_channel(self._target, channel_credentials(self._files), options=self._options)

    @override
    def _leave(self, channel: grpc.aio.Channel) -> None:
        if channel is self._channel and self._files.stamp != self._dialled:  # gRPC keeps a certificate for a connection's life
            self._left.append(channel)
            self._channel = None
        else:
            super()._leave(channel)

    @override
    async def _until_answered(self, call: Call, channel: grpc.aio.Channel) -> None:
        self._heard = ""
        answer = asyncio.ensure_future(super()._until_answered(call, channel))
        try:
            while not (await asyncio.wait({answer}, timeout=LOOK_S))[0]:
                if channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                    await self._hear(channel)
            answer.result()
        finally:
            answer.cancel()

    async def _hear(self, channel: grpc.aio.Channel) -> None:
        """Find out why the connection fails."""
        self._heard = await self._last_error(channel)
        if any(sign in self._heard for sign in NOT_TRUSTED):
            known = "those that gRPC trusts by itself" if self._files.ca is None else str(self._files.ca)
            said = f"{self._address} shows a certificate that is not trusted here (trusted: {known}): {self._heard}"
            raise AccessDenied(f"{said}; give the controller's CA by --ca or in [tls], and an address that its certificate names")

    @override
    async def _complaint(self, channel: grpc.aio.Channel) -> str:
        if not self._heard:
            return ""
        got_there = not any(sign in self._heard for sign in NOT_THERE)
        remedy = ": is it a TLS port of grpcs://, and does it demand a certificate (--certificate, --key)?" if got_there else ""
        return f"; the last attempt failed ({self._heard}){remedy}"


def _check_tcp(address: Address) -> None:
    if socket_path(address) is not None:
        raise AddressError(f"{address}: TLS is for TCP; a Unix socket is protected by its mode, write grpc://{address.place}")
