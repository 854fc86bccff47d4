"""Certificates for tests, written into a folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedactors.access.callers import Role, uri_of
from fedactors.access.certificates import KeyPair, make_authority, make_client, make_server
from fedactors.transport import Transport
from fedactors.transport.grpcs import GrpcsTransport

DAYS = 2
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=30)


def write(pair: KeyPair, folder: Path, name: str) -> dict[str, Path]:
    """The pair as NAME.pem and NAME.key; as options of a transport."""
    files = {"certificate": folder / f"{name}.pem", "key": folder / f"{name}.key"}
    files["certificate"].write_bytes(pair.certificate_pem)
    files["key"].write_bytes(pair.key_pem)
    return files


class Certificates:
    """An authority and what it signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = make_authority("test", DAYS, NOW)
        self.ca = write(self.authority, folder, "ca")["certificate"]

    def server(self, *hosts: str, now: datetime = NOW, name: str = "server") -> dict[str, Path]:
        return write(make_server(self.authority, hosts or ("localhost", "127.0.0.1"), DAYS, now), self.folder, name)

    def client(self, role: Role, name: str, now: datetime = NOW) -> dict[str, Path]:
        return write(make_client(self.authority, name, uri_of(role, name), DAYS, now), self.folder, name)

    def listening(self, kind: type[Transport] = GrpcsTransport, **options: object) -> Transport:
        return kind(ca=self.ca, **{**self.server(), **options})

    def calling(self, kind: type[Transport] = GrpcsTransport, **options: object) -> Transport:
        return kind(**{"ca": self.ca, **options})
