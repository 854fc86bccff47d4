"""Reaching the controller of a federation: by its address, or by the directory of a run that is going on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fedactors import config as configuration
from fedactors.driver.run_directory import ADDRESS_FILE
from fedactors.driver.saved_runs import State, is_run, look
from fedactors.errors import ConfigError, StoreError
from fedactors.protocol import AdminClient
from fedactors.transport import Address


@asynccontextmanager
async def admin_at(address: str) -> AsyncIterator[AdminClient]:
    """A conversation with the controller at an address; nothing is sent yet.

    Raises:
        AddressError: the address is malformed.
    """
    place = Address.parse(address)
    channel = configuration.build_transport(place.scheme).connect(place)
    try:
        yield AdminClient(channel)
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


def reachable(run: Path | None, address: str | None) -> str:
    """The address of the controller that is meant by a run's directory or by its address.

    Raises:
        ConfigError: both or none of them is given, or there is no run.
        StoreError: no controller of the run can be reached.
    """
    if (run is None) == (address is None):
        raise ConfigError("name a RUN that is going on, or its controller's --address; one of the two")
    if address is not None:
        return address
    assert run is not None
    if (found := address_of(run)) is None:
        state = look(run).state
        why = "its learners are threads of its own process" if state is State.RUNNING else f"it is {state}, and nobody leads it"
        raise StoreError(f"no controller of run {run} can be reached: {why}")
    return found
