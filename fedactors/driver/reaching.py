"""Reaching the controller of a federation: by its address, or by the directory of a run that is going on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fedactors import config as configuration
from fedactors.config import NO_CREDENTIALS, Credentials
from fedactors.driver.run_directory import ADDRESS_FILE
from fedactors.driver.saved_runs import State, is_run, look
from fedactors.errors import ConfigError, StoreError
from fedactors.protocol import AdminClient
from fedactors.transport import Address, Channel


@dataclass(frozen=True, slots=True)
class Reach:
    """How a controller is reached.

    Attributes:
        address: of the controller; None where a run's directory tells it.
        credentials: what is shown there.
        insecure: a token may be shown in the clear.
    """

    address: str | None = None
    credentials: Credentials = NO_CREDENTIALS
    insecure: bool = False

    @asynccontextmanager
    async def admin(self, run: Path | None = None) -> AsyncIterator[AdminClient]:
        """A conversation with the controller of a run, or the one at the address; nothing is sent yet.

        Raises:
            AddressError: the address is malformed, or a file of the credentials cannot be used.
            ConfigError: both or none of run and address are given, there is no run, or a token would be shown in the clear.
            StoreError: no controller of the run can be reached.
        """
        if (run is None) == (self.address is None):
            raise ConfigError("name a RUN that is going on, or its controller by --address; one of the two")
        async with self.channel(run) as channel:
            yield AdminClient(channel)

    @asynccontextmanager
    async def channel(self, run: Path | None = None) -> AsyncIterator[Channel]:
        """As `admin`, for another conversation."""
        address = Address.parse(self.address or _reachable(run))
        channel = configuration.connect_to(address, self.credentials, insecure=self.insecure)
        try:
            yield channel
        finally:
            await channel.close()


def address_of(run: Path) -> str | None:
    """Where the controller of a run listens; None where the run is not going on, or within its own process alone.

    Raises:
        ConfigError: there is no run in this directory.
    """
    if not is_run(run):
        raise ConfigError(f"there is no run in {run}; `fedactors runs ls` lists what there is")
    file = run / ADDRESS_FILE
    if look(run).state is not State.RUNNING or not file.is_file():
        return None
    return next(iter(file.read_text(encoding="utf-8").split()), None)


def _reachable(run: Path | None) -> str:
    assert run is not None, "there is a run where there is no address"
    if (found := address_of(run)) is None:
        state = look(run).state
        why = "its learners are threads of its own process" if state is State.RUNNING else f"it is {state}, and nobody leads it"
        raise StoreError(f"no controller of run {run} can be reached: {why}")
    return found
