"""A federation's figures for Prometheus, at a place of their own: without a page, and without what a page needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fedactors.dashboard.scraping import scraped
from fedactors.dashboard.where import Where
from fedactors.errors import FedactorsError
from fedactors.log import get_logger
from fedactors.observe.exposition import CONTENT_TYPE, Exposition
from fedactors.observe.meter import Kernel, Meter
from fedactors.system import Federation

log = get_logger("fedactors.metrics")


@asynccontextmanager
async def metrics_of(federation: Federation, where: Where) -> AsyncIterator[str]:
    """Serve the figures of a federation in this process for as long as the context lasts; yields their URL.

    Raises:
        AddressError: they cannot be served there.
        ConfigError: the tokens cannot be read.
    """
    meter = Meter(federation.config.name)
    exposition = Exposition(meter, lambda: Kernel.of(federation.statistics()))
    following = asyncio.create_task(_follow(federation, meter), name="metrics")
    try:
        async with scraped(exposition.text, CONTENT_TYPE, where) as url:
            yield url
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _follow(federation: Federation, meter: Meter) -> None:
    try:
        first = int((await federation.admin.status())["first_event"])
        async for event in federation.events(first):
            meter.take(event)
    except FedactorsError as error:
        log.warning("run_lost", why=str(error))
