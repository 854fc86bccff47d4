"""Whom a controller serves, over which transport, and what a client shows: [tls] and [access] turned into what obeys them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fedactors.config.listening import TLS_SCHEMES, leaves_the_machine, over_tls
from fedactors.config.plugging import build_transport
from fedactors.config.tables import CONTROLLER_ADDRESS, Config
from fedactors.errors import ConfigError
from fedactors.transport.base import Address

if TYPE_CHECKING:
    from fedactors.access.audit import Audit
    from fedactors.access.guard import Guard
    from fedactors.transport.base import Channel, Transport


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client shows, and whom it trusts.

    Attributes:
        ca: the authority that has signed the controller's certificate.
        certificate: this client's, where the controller demands one.
        key: its private key.
        token: a secret.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    token: str = field(default="", repr=False)


NO_CREDENTIALS = Credentials()


def connect(config: Config, credentials: Credentials = NO_CREDENTIALS) -> Channel:
    """A channel to the configured controller; nothing is sent yet.

    Raises:
        AddressError: the address is malformed, or a file of the credentials cannot be used.
        ConfigError: a token would be shown in the clear.
    """
    address = Address.parse(config.controller.address or CONTROLLER_ADDRESS)
    if credentials.ca is None and config.tls.ca is not None:
        credentials = replace(credentials, ca=config.base_dir / config.tls.ca)
    return connect_to(address, credentials, insecure=config.controller.insecure)


def connect_to(address: Address, credentials: Credentials = NO_CREDENTIALS, *, insecure: bool = False) -> Channel:
    """As `connect`, to a controller at this address."""
    if address.scheme in TLS_SCHEMES:
        files = {"ca": credentials.ca, "certificate": credentials.certificate, "key": credentials.key}
        transport = build_transport(
            address.scheme, {what: str(path.absolute()) for what, path in files.items() if path is not None}
        )
    else:
        transport = build_transport(address.scheme)
        if credentials.token and leaves_the_machine(address) and not insecure:
            said = f"a token is not shown to {address}, where everybody on the way could read it"
            raise ConfigError(f"{said}: write {over_tls(address)}, or --insecure where the way is safe by other means")
    return transport.connect(address, credential=credentials.token)


def listening_transport(config: Config, scheme: str) -> Transport:
    """The transport of an address to listen at.

    Raises:
        ConfigError: there is none of that name.
    """
    if scheme not in TLS_SCHEMES:
        return build_transport(scheme)
    tls = config.tls
    files = {"ca": tls.ca, "certificate": tls.certificate, "key": tls.key}
    options: dict[str, str] = {what: str(config.base_dir / path) for what, path in files.items() if path is not None}
    demanded = "required" if "certificate" in config.access.asked else "off"
    return build_transport(scheme, {**options, "client_certificates": tls.client_certificates or demanded})


def build_guard(config: Config, audit: Audit) -> Guard:
    """Decides who is served, as [access] says.

    Raises:
        ConfigError: the list of tokens is needed, and cannot be read.
    """
    from fedactors.access.callers import Means
    from fedactors.access.guard import Guard, Policy
    from fedactors.access.token_file import TokenFile

    access = config.access
    tokens = TokenFile(config.base_dir / access.tokens) if "token" in access.asked else None
    return Guard(Policy(Means(access.learners), Means(access.operators)), tokens, audit)
