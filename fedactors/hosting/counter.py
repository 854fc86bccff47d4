"""Where the desk of a process is: its address, and who may come there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fedactors import config as configuration
from fedactors.access.audit import Audit
from fedactors.config import Config
from fedactors.hosting.desk import Desk
from fedactors.hosting.federations import Federations
from fedactors.log import get_logger
from fedactors.transport import Address

log = get_logger("fedactors.hosting")

AUDIT_FILE = "audit.jsonl"


@dataclass(frozen=True, slots=True)
class Counter:
    """An address, and what is asked of those who come there: as in the tables of a federation, and refused where those are.

    Attributes:
        config: with that address, [tls] and [access].
    """

    config: Config

    @classmethod
    def at(cls, address: str, *, tokens: Path | None, certificate: Path | None, key: Path | None, insecure: bool) -> Self:
        """What a command line says.

        Args:
            address: where to listen.
            tokens: the list of operators' and observers' tokens; None: whoever can reach the address may do everything.
            certificate: for TLS.
            key: its private key.
            insecure: other machines may reach the address without TLS or credentials.

        Raises:
            ConfigError: the address cannot be used, or may not with no more than that.
        """
        access = {} if tokens is None else {"operators": "token", "learners": "token", "tokens": str(tokens.absolute())}
        files = {"certificate": certificate, "key": key}
        tls = {what: str(path.absolute()) for what, path in files.items() if path is not None}
        controller = {"address": address, "insecure": insecure}
        return cls(configuration.from_mapping({"name": "serve", "controller": controller, "access": access, "tls": tls}))

    @asynccontextmanager
    async def open(self, federations: Federations, runs: Path) -> AsyncIterator[None]:
        """Serve there; who did what is written in the directory of the runs.

        Raises:
            AddressError: it cannot be listened at.
            ConfigError: the list of tokens cannot be read.
        """
        address = Address.parse(self.config.controller.address or "")
        with closing(_audit(runs)) as audit:
            desk = Desk(federations, configuration.build_guard(self.config, audit))
            async with desk.at(configuration.listening_transport(self.config, address.scheme), address) as there:
                log.info("listening", admin=str(there))
                yield


def _audit(runs: Path) -> Audit:
    runs.mkdir(parents=True, exist_ok=True)
    return Audit(runs / AUDIT_FILE)
