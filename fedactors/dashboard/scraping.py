"""A few lines of HTTP for Prometheus to read figures from, in the loop that is running."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from fedactors.dashboard.guard import Guard
from fedactors.dashboard.where import Where, listening_socket, url_of
from fedactors.log import get_logger

log = get_logger("fedactors.metrics")

PATH = "/metrics"
HEAD_BYTES_MAX = 8192
ASKING_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 16
"""At the same time; one more is turned away."""


@contextlib.asynccontextmanager
async def scraped(text: Callable[[], bytes], content_type: str, where: Where) -> AsyncIterator[str]:
    """Serve what `text` gives for as long as the context lasts; yields its URL.

    Raises:
        AddressError: it cannot be listened there.
        ConfigError: the tokens cannot be read.
    """
    answering = _Answering(text, content_type, where.guard())
    server = await asyncio.start_server(answering, sock=listening_socket(where, "metrics"), limit=HEAD_BYTES_MAX)
    try:
        url = url_of(where.host, server.sockets[0].getsockname()[1]).rstrip("/") + PATH
        log.info("metrics", url=url)
        yield url
    finally:
        server.close()
        await answering.end()


class _Answering:
    """Answers one request for each connection."""

    def __init__(self, text: Callable[[], bytes], content_type: str, guard: Guard) -> None:
        self._text = text
        self._content_type = content_type
        self._guard = guard
        self._open: set[asyncio.Task[None]] = set()

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="metrics")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def end(self) -> None:
        """Nobody is answered any more."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASKING_TIMEOUT_S):
                writer.write(self.answer(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("metrics_not_asked_for", why=str(error))
        finally:
            writer.close()

    def answer(self, head: bytes) -> bytes:
        """The answer to a request's head."""
        line, *fields = head.decode("latin-1").split("\r\n")
        pairs = (field.partition(":") for field in fields)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        method, path = [*line.split(" "), "", ""][:2]
        if not self._guard.is_our_name(headers.get("host", "")):
            return _written("421 Misdirected Request", "text/plain", b"metrics are told at loopback addresses alone\n")
        if self._guard.session("", headers.get("authorization", "")) is None:
            return _written("401 Unauthorized", "text/plain", b"show an observer's token: Authorization: Bearer TOKEN\n")
        if method != "GET" or path.partition("?")[0] != PATH:
            return _written("404 Not Found", "text/plain", b"there is nothing but GET /metrics\n")
        return _written("200 OK", self._content_type, self._text())


def _written(status: str, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("latin-1") + body
