"""An HTTP server in the loop that is running, which takes no signals and ends with its context."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from fedactors.access.token_file import TokenFile
from fedactors.dashboard.app import dashboard
from fedactors.dashboard.chronicle import Chronicle
from fedactors.dashboard.feed import Feed
from fedactors.dashboard.guard import Guard, is_loopback
from fedactors.dashboard.source import Source
from fedactors.errors import AddressError
from fedactors.log import get_logger

log = get_logger("fedactors.dashboard")

HOST, PORT = "127.0.0.1", 4460
LAST_NEWS_S = 1.0
"""For which, once the run is over, the browsers are told so before the server goes."""
CONNECTIONS_MAX = 256


@dataclass(frozen=True, slots=True)
class Where:
    """Where a page is served, and to whom.

    Attributes:
        host, port: to listen at; port 0: any that is free.
        tokens: the list of those who may log in; None: whoever is on this machine needs no token.
    """

    host: str = HOST
    port: int = PORT
    tokens: Path | None = None

    @classmethod
    def parse(cls, text: str, tokens: Path | None = None) -> Where:
        """Read HOST:PORT, or PORT alone, or nothing for the default.

        Raises:
            AddressError: it has another form, or other machines can reach it and there is no token to keep them out.
        """
        host, separator, port = text.rpartition(":")
        name = (host if separator else HOST).strip("[]")
        if not text:
            return cls(tokens=tokens)
        if not port.isdecimal() or int(port) > 65_535 or not name:
            raise AddressError(f"{text!r} is no place for a dashboard; write HOST:PORT, or PORT, or nothing behind FILE")
        if tokens is None and not is_loopback(name):
            said = f"a dashboard at {text} can be reached by other machines, and whoever reaches it can stop the run"
            raise AddressError(f"{said}: have them log in by --dashboard-tokens FILE, or serve it at {HOST}:{port}")
        return cls(name, int(port), tokens)


class _Server(uvicorn.Server):
    """Leaves the signals to whoever has the loop."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(source: Source, chronicle: Chronicle, where: Where) -> AsyncIterator[str]:
    """Serve a run's page for as long as the context lasts, and a moment longer where browsers are to hear of the end.

    Yields:
        The page's URL.

    Raises:
        AddressError: it cannot be listened there.
        ConfigError: the tokens cannot be read, or the extra `dashboard` is not installed.
    """
    tokens = None if where.tokens is None else TokenFile(where.tokens)
    guard = Guard(None if tokens is None else lambda: tokens.book)
    feed = Feed(source, chronicle)
    app = dashboard(feed, guard)
    listening = _bound(where)
    following = asyncio.create_task(feed.follow(), name="dashboard")
    try:
        async with _served(app, listening):
            url = _url(where.host, listening.getsockname()[1])
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


def _bound(where: Where) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    try:
        return socket.create_server((where.host, where.port), family=family)
    except OSError as error:
        place = f"{where.host}:{where.port}"
        raise AddressError(f"the dashboard cannot listen at {place}: {error}; name another place, or port 0 for any") from error


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
