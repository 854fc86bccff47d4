"""`fedactors certs`: an authority for a federation's TLS, and the certificates that it signs."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import click

from fedactors.cli import options

if TYPE_CHECKING:
    from cryptography import x509

    from fedactors.access.callers import Role
    from fedactors.access.certificates import KeyPair

Function = TypeVar("Function", bound=Callable[..., Any])

FOLDER = "certs"
AUTHORITY_DAYS = 3650
LEAF_DAYS = 365
DAYS_MAX = 36_500
KEY_MODE, CERTIFICATE_MODE, FOLDER_MODE = 0o600, 0o644, 0o700

folder = click.option(
    "--dir", "folder", default=FOLDER, callback=options.as_path, metavar="DIR", show_default=True, help="Where they are."
)
force = click.option("--force", is_flag=True, help="Write over what is there: that is how a certificate is renewed.")


def days(default: int) -> Callable[[Function], Function]:
    """How long it holds."""
    return click.option("--days", type=click.IntRange(1, DAYS_MAX), default=default, show_default=True, help="It holds so long.")


@click.group(short_help="Make an authority and certificates for TLS.")
def certs() -> None:
    """Make what `grpcs://` and `tcps://` addresses need: an authority, and certificates that it signs.

    \b
    fedactors certs init                      DIR/ca.pem, for everybody, and DIR/ca.key, which signs: keep it offline
    fedactors certs server HOST ...           DIR/server.pem and .key, for the controller
    fedactors certs learner ID                DIR/learners/ID.pem and .key, for one learner
    fedactors certs operator NAME             DIR/operators/NAME.pem and .key, for one operator or observer
    fedactors certs show [FILE]               what is in a certificate, or in DIR

    A certificate is renewed by making it again with --force; a running controller takes its new one with the next connection.
    """  # noqa: D301  # click's mark for lines that stay as they are


@certs.command(short_help="A new authority.")
@folder
@click.option("--name", default="fedactors", show_default=True, help="Of the authority, for people to read.")
@days(AUTHORITY_DAYS)
@force
@options.debug
def init(folder: Path, name: str, days: int, force: bool) -> None:
    """Make the authority that signs a federation's certificates. Whoever has its key can be anybody."""
    certificates = _certificates()
    _write(certificates.make_authority(name, days, datetime.now(UTC)), folder / "ca", force=force)


@certs.command(short_help="A certificate for a controller.")
@click.argument("hosts", nargs=-1, required=True, metavar="HOST ...")
@folder
@days(LEAF_DAYS)
@force
@options.debug
def server(hosts: tuple[str, ...], folder: Path, days: int, force: bool) -> None:
    """Make the controller's certificate: it is good for the names and IP addresses HOST, by which learners reach it."""
    made = _certificates().make_server(_authority(folder), hosts, days, datetime.now(UTC))
    _write(made, folder / "server", force=force)


@certs.command(short_help="A certificate for a learner.")
@click.argument("identity", metavar="ID")
@folder
@days(LEAF_DAYS)
@force
@options.debug
def learner(identity: str, folder: Path, days: int, force: bool) -> None:
    """Make a certificate by which a learner may take part as ID, and as nobody else."""
    from fedactors.access.callers import Role
    from fedactors.errors import ConfigError
    from fedactors.storage.entries import learner_problem

    if (problem := learner_problem(identity)) is not None:
        raise ConfigError(problem)
    _write_client(Role.LEARNER, identity, folder / "learners", folder, days, force=force)


@certs.command(short_help="A certificate for an operator or an observer.")
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["observer", "operator"]), default="operator", show_default=True, help="An observer looks."
)
@folder
@days(LEAF_DAYS)
@force
@options.debug
def operator(name: str, role: str, folder: Path, days: int, force: bool) -> None:
    """Make a certificate for somebody who watches a federation, and for an operator, who also gives orders."""
    from fedactors.access.callers import Role

    _write_client(Role(role), name, folder / "operators", folder, days, force=force)


@certs.command(short_help="What is in certificates.")
@click.argument("file", required=False, callback=options.as_path)
@folder
@options.debug
def show(file: Path | None, folder: Path) -> None:
    """Show whose the certificate in FILE is and how long it holds; without FILE, every certificate in DIR."""
    from fedactors.cli.columns import in_columns
    from fedactors.errors import ConfigError

    files = [file] if file is not None else sorted(folder.rglob("*.pem"))
    if not files:
        raise ConfigError(f"there is no certificate in {folder}: `fedactors certs init` makes the first one")
    now = datetime.now(UTC)
    rows = [_row(one, _read_certificate(one), now) for one in files]
    click.echo(in_columns(("file", "for", "of", "days left"), rows, numbers=("days left",)))


def _row(file: Path, certificate: x509.Certificate, now: datetime) -> tuple[str, ...]:
    names = _certificates().named_in(certificate)
    left = (certificate.not_valid_after_utc - now).days
    issuer = certificate.issuer.rfc4514_string()
    whose = ", ".join(names) or f"an authority, {certificate.subject.rfc4514_string()}"
    return (
        str(file),
        whose,
        "itself" if certificate.issuer == certificate.subject else issuer,
        str(left) if left >= 0 else "expired",
    )


def _read_certificate(file: Path) -> x509.Certificate:
    from cryptography.x509 import load_pem_x509_certificate

    from fedactors.errors import ConfigError

    try:
        return load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} holds no certificate in PEM: {error}") from error


def _certificates() -> Any:
    """The module that makes them, which needs a package of an extra."""
    from fedactors.errors import ExtraMissing

    try:
        from fedactors.access import certificates
    except ModuleNotFoundError:
        raise ExtraMissing("`fedactors certs`", "cryptography", "secure") from None
    return certificates


def _authority(folder: Path) -> KeyPair:
    from fedactors.errors import ConfigError

    files = folder / "ca.pem", folder / "ca.key"
    try:
        pair: KeyPair = _certificates().read_pair(*(file.read_bytes() for file in files))
    except OSError as error:
        remedy = f"`fedactors certs init --dir {folder}` makes one"
        raise ConfigError(f"no authority can be read in {folder} ({error.strerror}: {error.filename}): {remedy}") from error
    except ConfigError as error:
        raise ConfigError(f"{files[0]} and {files[1]}: {error}") from error
    return pair


def _write_client(role: Role, name: str, into: Path, folder: Path, days: int, *, force: bool) -> None:
    from fedactors.access.callers import uri_of

    made = _certificates().make_client(_authority(folder), name, uri_of(role, name), days, datetime.now(UTC))
    _write(made, into / quote(name, safe=" "), force=force)


def _write(pair: KeyPair, stem: Path, *, force: bool) -> None:
    """STEM.pem and STEM.key; the key is its owner's alone from its first byte on."""
    from fedactors.errors import ConfigError

    certificate, key = stem.with_name(f"{stem.name}.pem"), stem.with_name(f"{stem.name}.key")
    there = [str(file) for file in (certificate, key) if file.exists()]
    if there and not force:
        raise ConfigError(f"{there[0]} is there already; write over it with --force, or name another folder with --dir")
    try:
        stem.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        _put(key, pair.key_pem, KEY_MODE)
        _put(certificate, pair.certificate_pem, CERTIFICATE_MODE)
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from error
    click.echo(f"{certificate} holds until {pair.certificate.not_valid_after_utc:%Y-%m-%d}; its key is {key}, keep that secret")


def _put(file: Path, content: bytes, mode: int) -> None:
    """All of it or nothing, whatever was there."""
    unfinished = file.with_name(f"{file.name}.part")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
        opened.write(content)
    unfinished.replace(file)
