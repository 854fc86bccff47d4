"""The versions that a run has kept: in its model store, or at its controller while it goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from typing_extensions import override

from fedactors import config as configuration
from fedactors.config import NO_CREDENTIALS, Credentials
from fedactors.driver.run_directory import MODEL_FILE, own_store
from fedactors.driver.saved_runs import State, at_rest, look
from fedactors.errors import ConfigError, StoreError
from fedactors.model import GlobalModel, Version
from fedactors.protocol import AdminClient
from fedactors.protocol.admin import NEWEST
from fedactors.protocol.versions import KeptVersion
from fedactors.storage import Home, Storage
from fedactors.storage.file import INDEX, FileStorage
from fedactors.storage.memory import MemoryStorage
from fedactors.transport import Address
from fedactors.variates import has_variates, plain_model


class Versions(ABC):
    """What there is of a federation's versions."""

    @abstractmethod
    async def kept(self) -> list[KeptVersion]:
        """Every version that can be had, ascending."""

    async def model(self, version: Version | None) -> GlobalModel:
        """A version as users see it, without control variates; None for the newest.

        Raises:
            NoSuchModel: it never was, or was evicted.
            StoreError: it cannot be read.
        """
        model = await self._get(version)
        return plain_model(model) if has_variates(model.layout) else model

    @abstractmethod
    async def _get(self, version: Version | None) -> GlobalModel:
        """A version as it is kept."""


class AtController(Versions):
    """Those that a controller hands out, which may be one that is at work."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin

    @override
    async def kept(self) -> list[KeptVersion]:
        return await self._admin.versions()

    @override
    async def _get(self, version: Version | None) -> GlobalModel:
        return GlobalModel(*await self._admin.download(NEWEST if version is None else version))


class InStore(Versions):
    """Those in an open model store."""

    def __init__(self, storage: Storage, run: Path) -> None:
        self._storage = storage
        self._run = run

    @override
    async def kept(self) -> list[KeptVersion]:
        entries = await self._storage.lineage(None)
        return [KeptVersion(one.number, one.created_unix_s, one.nbytes, one.digest, one.facts) for one in entries]

    @override
    async def _get(self, version: Version | None) -> GlobalModel:
        if version is None:
            versions = await self._storage.versions()
            if not versions:
                raise StoreError(f"run {self._run} has no version yet")
            version = versions[-1]
        return await self._storage.get(version)


@asynccontextmanager
async def at_address(
    address: str, credentials: Credentials = NO_CREDENTIALS, *, insecure: bool = False
) -> AsyncIterator[Versions]:
    """The versions of the controller at an address.

    Raises:
        AddressError: the address is malformed, or a file of the credentials cannot be used.
        ConfigError: a token would be shown in the clear.
        Unreachable: nobody answers there.
    """
    channel = configuration.connect_to(Address.parse(address), credentials, insecure=insecure)
    try:
        yield AtController(AdminClient(channel))
    finally:
        await channel.close()


@asynccontextmanager
async def of_run(run: Path) -> AsyncIterator[Versions]:
    """The versions in a run's model store; the run cannot go on meanwhile.

    Raises:
        ConfigError: there is no run in this directory.
        StoreError: it is going on, or its model store is gone or cannot be opened.
    """
    file = run / "config.toml"
    if not file.is_file():
        raise ConfigError(f"there is no run in {run}: it has no config.toml; `fedactors runs ls` lists what there is")
    with at_rest(run):
        config = own_store(configuration.read(file), run)
        storage, home = configuration.build_storage(config), Home(config.name, config.base_dir)
        _check(run, storage, home)
        await storage.open(home)
        try:
            yield InStore(storage, run)
        finally:
            await storage.close()


def _check(run: Path, storage: Storage, home: Home) -> None:
    """Opening a store makes it where there is none; here, there has to be one."""
    if isinstance(storage, MemoryStorage):
        raise StoreError(f"run {run} kept its versions in memory, and they are gone; its last one is in {run / MODEL_FILE}")
    if isinstance(storage, FileStorage):
        place = home.base_dir / Path(storage.place).expanduser()
        if not (place / INDEX).is_file():
            raise StoreError(f"run {run} has no version: there is no model store in {place}")
    elif look(run).state is State.UNFINISHED:  # who opens a server's namespace takes it from whoever has it
        raise StoreError(f"run {run} has no journal to tell whether its controller is at work; ask that with --address")
