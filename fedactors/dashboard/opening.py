"""The page of a run, wherever the run is: in this process, at a controller elsewhere, or in its directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from fedactors import config as configuration
from fedactors.dashboard.chronicle import Chronicle
from fedactors.dashboard.server import serving
from fedactors.dashboard.source import FromController, FromDirectory, Source
from fedactors.dashboard.where import Where
from fedactors.driver.reaching import Reach, address_of
from fedactors.observe.meter import Kernel
from fedactors.system import Federation


@asynccontextmanager
async def of_federation(federation: Federation, where: Where) -> AsyncIterator[str]:
    """The page of a federation in this process; yields its URL."""
    config = federation.config
    source = FromController(federation.admin, configuration.to_toml(config))
    chronicle = Chronicle(config.name, config.stop.rounds, config.evaluate.every)
    async with serving(source, chronicle, where, lambda: Kernel.of(federation.statistics())) as url:
        yield url


@asynccontextmanager
async def at_address(reach: Reach, where: Where) -> AsyncIterator[str]:
    """The page of the federation that a controller elsewhere leads; yields its URL.

    Raises:
        TransportError: nobody answers there, or not to these credentials.
    """
    async with reach.admin() as admin:
        status = await admin.status()
        chronicle = Chronicle(status["name"], status.get("rounds_total"), status.get("evaluate_every", 1))
        async with serving(FromController(admin), chronicle, where) as url:
            yield url


@asynccontextmanager
async def of_run(run: Path, reach: Reach, where: Where) -> AsyncIterator[str]:
    """The page of a run in its directory; it takes orders where its controller can be reached. Yields its URL.

    Raises:
        ConfigError: there is no run in this directory.
    """
    address = address_of(run)
    source: Source = FromDirectory(run)
    config = configuration.read(run / "config.toml")
    async with AsyncExitStack() as exits:
        if address is not None:
            admin = await exits.enter_async_context(replace(reach, address=address).admin())
            source = FromController(admin, source.configuration)
        chronicle = Chronicle(config.name, config.stop.rounds, config.evaluate.every)
        yield await exits.enter_async_context(serving(source, chronicle, where))
