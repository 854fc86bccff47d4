"""A side's certificates: files, checked before they are used, and read again when they change."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from fedactors.errors import AddressError

log = logging.getLogger(__name__)

T = TypeVar("T")

Stamp: TypeAlias = tuple[tuple[int, int, int], ...]
"""(time of change, length, inode) of each file: another one if a file was written or replaced."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of one side.

    Attributes:
        ca: certificates of those who may sign the other side's; None: those whom the transport trusts by itself.
        certificate: this side's, with what leads from it to the other side's `ca`.
        key: its private key, not encrypted.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def stamp(self) -> Stamp:
        """What changes with the files.

        Raises:
            OSError: one of them is gone.
        """
        found = [path.stat() for path in (self.ca, self.certificate, self.key) if path is not None]
        return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)

    def check(self) -> None:
        """Find out whether they can be used.

        Raises:
            AddressError: a file is missing or not what it should be, or the key is that of another certificate.
        """
        for what, path in (("ca", self.ca), ("certificate", self.certificate), ("key", self.key)):
            if path is not None and not path.is_file():
                raise AddressError(f"tls: there is no file {path} ({what}); name it in [tls] or by --{what}")
        if (self.certificate is None) != (self.key is None):
            given, missing = ("key", "certificate") if self.certificate is None else ("certificate", "key")
            raise AddressError(f"tls: a {given} is given without its {missing}; give both")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if self.ca is not None:
                context.load_verify_locations(self.ca)
        except (ssl.SSLError, OSError) as error:
            raise AddressError(f"tls: {self.ca} holds no certificate that can be read: {error}") from error
        try:
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (ssl.SSLError, OSError) as error:
            said = f"tls: {self.certificate} and {self.key} are no certificate and its private key in PEM"
            raise AddressError(f"{said}: {error}; make them by `fedactors certs`") from error


def _no_password() -> str:
    return ""  # an encrypted key is refused; without this, OpenSSL would ask the terminal


class Changing(Generic[T]):
    """What is made of files, made again when they have changed and can be used. May be called from any thread."""

    def __init__(self, files: TlsFiles, make: Callable[[TlsFiles], T]) -> None:
        self._files = files
        self._make = make
        self._stamp = files.stamp

    def changed(self) -> T | None:
        """None for "as before": also while the files do not fit together, as half of them may have been written."""
        try:
            stamp = self._files.stamp
            if stamp == self._stamp:
                return None
            self._files.check()
            made = self._make(self._files)
            if self._files.stamp != stamp:  # written while they were read: the next connection sees to it
                return None
        except (AddressError, OSError) as error:
            log.warning("certificates_not_taken why=%s", error)
            return None
        self._stamp = stamp
        log.info("certificates_taken certificate=%s", self._files.certificate)
        return made


def check_listening(files: TlsFiles, *, demands_certificates: bool) -> None:
    """Find out whether one can listen with them.

    Raises:
        AddressError: they cannot be used, or one is missing.
    """
    if files.certificate is None:
        raise AddressError('tls: a listener needs a certificate and its key; write certificate = "..." and key = "..." in [tls]')
    if demands_certificates and files.ca is None:
        raise AddressError('tls: who demands client certificates says who may sign them; write ca = "..." in [tls]')
    files.check()
