"""An HTTP server in the loop that is running, which takes no signals and ends with its context."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from fedactors.dashboard.app import dashboard
from fedactors.dashboard.chronicle import Chronicle
from fedactors.dashboard.feed import Feed
from fedactors.dashboard.source import Source
from fedactors.dashboard.where import Where, listening_socket, url_of
from fedactors.log import get_logger
from fedactors.observe.meter import Kernel, Meter

log = get_logger("fedactors.dashboard")

LAST_NEWS_S = 1.0
"""For which, once the run is over, the browsers are told so before the server goes."""
CONNECTIONS_MAX = 256


class _Server(uvicorn.Server):
    """Leaves the signals to whoever has the loop."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    source: Source, chronicle: Chronicle, where: Where, kernel: Callable[[], Kernel] | None = None
) -> AsyncIterator[str]:
    """Serve a run's page for as long as the context lasts, and a moment longer where browsers are to hear of the end.

    Args:
        source: of the run.
        chronicle: empty yet, with what is known of the run before its first event.
        where: it is served.
        kernel: tells of the actors, for /metrics; None where they are in another process.

    Yields:
        The page's URL.

    Raises:
        AddressError: it cannot be listened there.
        ConfigError: the tokens cannot be read, or the extra `dashboard` is not installed.
    """
    meter = Meter(chronicle.name)
    feed = Feed(source, chronicle, [meter.take])
    app = dashboard(feed, where.guard(), metrics(meter, kernel))
    listening = listening_socket(where, "dashboard")
    following = asyncio.create_task(feed.follow(), name="dashboard")
    try:
        async with _served(app, listening):
            url = url_of(where.host, listening.getsockname()[1])
            log.info("dashboard", url=url)
            try:
                yield url
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(following), LAST_NEWS_S)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
    finally:
        following.cancel()


@contextlib.asynccontextmanager
async def _served(app: ASGIApp, listening: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=1,
        limit_concurrency=CONNECTIONS_MAX,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="dashboard server")
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        listening.close()


def metrics(meter: Meter, kernel: Callable[[], Kernel] | None) -> Callable[[], bytes] | None:
    """What writes out a meter's figures; None where the extra `metrics` is not installed."""
    try:
        from fedactors.observe.exposition import Exposition
    except ModuleNotFoundError:
        return None
    return Exposition(meter, kernel).text
