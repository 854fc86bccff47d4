"""Where a controller may listen, and where one may connect: nothing that other machines can reach without TLS and credentials."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from fedactors.config.plugging import Key
from fedactors.config.tables import Config
from fedactors.errors import AddressError
from fedactors.plugins import KINDS, as_written, did_you_mean, names
from fedactors.transport.base import Address
from fedactors.transport.ports import PORT_MAX, host_and_port

ADDRESS: Key = ("controller", "address")
WITH_TLS = {"grpc": "grpcs", "tcp": "tcps"}
"""By a scheme that encrypts nothing, the same over TLS."""
TLS_SCHEMES = frozenset(WITH_TLS.values())
WITH_HOST = TLS_SCHEMES | WITH_TLS.keys()
INSECURE = "or write insecure = true in [controller] (--insecure) to do without"


def problems(config: Config, *, listens: bool) -> Iterator[tuple[Key, str]]:
    """What is wrong with the configured address: (key, sentence with the remedy) pairs.

    Args:
        config: of the federation.
        listens: here, rather than connects there, for which less has to be at hand.
    """
    text = config.controller.address
    if text is not None:
        yield from problems_at(config, text, listens=listens)


def problems_at(config: Config, text: str, *, listens: bool) -> Iterator[tuple[Key, str]]:
    """As `problems`, of this address."""
    try:
        address = Address.parse(text)
    except AddressError as error:
        yield ADDRESS, str(error)
        return
    known = names("fedactors.transport")
    if address.scheme not in known:
        kind = KINDS["fedactors.transport"]
        yield ADDRESS, f"no {kind} named {address.scheme!r}{did_you_mean(address.scheme, known)} (known: {', '.join(known)})"
    elif address.scheme in WITH_HOST and not address.place.startswith("/") and host_and_port(address.place) is None:
        yield ADDRESS, f"{as_written(text)} is not {address.scheme}://host:port, with a port up to {PORT_MAX}"
    elif address.scheme in TLS_SCHEMES:
        yield from _over_tls(config, address) if listens else ()
    else:
        yield from _in_the_clear(config, address, listens=listens)


def over_tls(address: Address) -> Address:
    """Where the same would be written to be encrypted."""
    return Address(WITH_TLS.get(address.scheme, "grpcs"), address.place)


def leaves_the_machine(address: Address) -> bool:
    """Whether other machines can reach an address: neither loopback, nor a Unix socket, nor within the process."""
    if address.scheme == "memory" or address.place.startswith("/"):
        return False
    host = address.place.rpartition(":")[0].strip("[]")
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _in_the_clear(config: Config, address: Address, *, listens: bool) -> Iterator[tuple[Key, str]]:
    said = f"controller.address = {as_written(str(address))}"
    if leaves_the_machine(address) and not config.controller.insecure:
        remedy = f'write "{over_tls(address)}" (docs/security.md says how), listen on 127.0.0.1 or a Unix socket'
        yield ADDRESS, f"{said} can be reached from other machines, and nothing is encrypted there: {remedy}, {INSECURE}"
    shows = "certificate" in config.access.asked
    if listens and shows and address.scheme in WITH_TLS and not address.place.startswith("/"):
        who = "learners" if config.access.learners == "certificate" else "operators"
        remedy = f'write "{over_tls(address)}", or access.{who} = "token"'
        yield ("access", who), f'access.{who} = "certificate" and {said}: certificates are shown over TLS alone; {remedy}'


def _over_tls(config: Config, address: Address) -> Iterator[tuple[Key, str]]:
    tls, access = config.tls, config.access
    missing = [name for name in ("certificate", "key") if getattr(tls, name) is None]
    if missing:
        written = " and ".join(f'{name} = "certs/server.{"pem" if name == "certificate" else "key"}"' for name in missing)
        made = "`fedactors certs init`, then `fedactors certs server HOST`, make them"
        yield ("tls", missing[0]), f"who listens at {address} needs a certificate: write {written} in [tls] ({made})"
    asks = "certificate" in access.asked
    if asks and tls.client_certificates == "off":
        said = 'tls.client_certificates = "off", and [access] asks for certificates'
        yield ("tls", "client_certificates"), f'{said}: write "required", or have them show tokens'
    if (asks or tls.client_certificates == "required") and tls.ca is None:
        said = "clients are to show certificates, and nobody is trusted to have signed them"
        yield ("tls", "ca"), f'{said}: write ca = "certs/ca.pem" in [tls]'
    if leaves_the_machine(address) and not config.controller.insecure:
        for who in ("learners", "operators"):
            if getattr(access, who) == "open":
                said = f"controller.address = {as_written(str(address))} can be reached from other machines"
                yield (
                    ("access", who),
                    f'{said}, and {who} show no credential: write {who} = "token" or "certificate" in [access], {INSECURE}',
                )
