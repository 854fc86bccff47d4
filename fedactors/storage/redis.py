"""`redis://HOST[:PORT][/DATABASE]`, `redis:///SOCKET[?db=DATABASE]` and `rediss://...`: models in a Redis or Valkey server.

Every key begins with fedactors:{NAMESPACE}: so that federations share a server, and so does everybody else:

    format              of these keys
    writer              who may write: the controller that opened the namespace last
    index               hash: number:owner -> what is known of a model, as JSON, with the place of its chunks
    layouts             hash: digest -> names, dtypes and shapes, as JSON
    pending             hash: place -> number of chunks that are being written, or removed; what is left is removed on opening
    chunk:PLACE:NUMBER  a piece of a model

A model's chunks are written first; then one script, which the server runs in one step, names them in the index, and forgets
those of evicted models. A controller whose namespace was opened by another one cannot write any more.
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from typing_extensions import override

from fedactors.errors import ConfigError, StoreError
from fedactors.storage.base import Home
from fedactors.storage.redis_link import Link
from fedactors.storage.redis_shelf import RedisShelf
from fedactors.storage.shelf import Shelf
from fedactors.storage.shelved import ShelvedStorage

PORT = 6379
EXAMPLE = "redis://127.0.0.1:6379/0 or redis:///run/redis.sock"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens: at a host and a port, or at a Unix socket.

    Attributes:
        host: empty where there is a socket.
        port: of the host.
        socket: path; empty where there is a host.
        database: number.
    """

    host: str
    port: int
    socket: str
    database: int

    @classmethod
    def parse(cls, place: str) -> Server:
        """What stands behind `redis://`.

        Raises:
            ConfigError: it is malformed, or holds a password; the message does not repeat that.
        """
        if "@" in place:
            raise ConfigError("place: a password is not written into a URL; name an environment variable as option password_env")
        url = urlsplit(f"redis://{place}")
        try:
            if url.hostname is None:
                (database,) = parse_qs(url.query, strict_parsing=True).pop("db") if url.query else ("0",)
                server = cls("", 0, url.path, int(database))
            else:
                server = cls(url.hostname, url.port or PORT, "", int(url.path.removeprefix("/") or 0))
        except (ValueError, KeyError):
            raise ConfigError(f"place {place!r} is not a server's; write {EXAMPLE}") from None
        if server.database < 0 or (len(server.socket) < 2 and not server.host) or (server.host and url.query):
            raise ConfigError(f"place {place!r} is not a server's; write {EXAMPLE}")
        return server

    def __str__(self) -> str:
        at = self.socket or (f"[{self.host}]" if ":" in self.host else self.host) + f":{self.port}"
        return f"{at} (database {self.database})"


@dataclass(frozen=True, slots=True)
class RedisStorage(ShelvedStorage):
    """Keeps models in a Redis or Valkey server. What they survive there is the server's matter: see its persistence.

    Attributes:
        lineage_length: newest versions, and newest models of each learner, that are kept, >= 0. 0: all.
        max_bytes: of all models together, >= 0; what was put first makes room, but never the newest version. 0: no limit.
        place: HOST, HOST:PORT, HOST:PORT/DATABASE, or the path of a Unix socket with ?db=DATABASE behind it.
        namespace: what keys begin with, after fedactors:. The federation's name where it is not given.
        username: of an access control list; the default user where it is not given.
        password_env: the environment variable that holds the password.
        chunk_bytes: of a model in one value, > 0.
        timeout_s: how long an answer of the server may take, > 0.
        retry_s: how long a server that went away is waited for, >= 0. On opening it must be there.
    """

    place: str = "127.0.0.1"
    namespace: str | None = None
    username: str | None = None
    password_env: str | None = None
    chunk_bytes: int = 512 * 1024
    timeout_s: float = 30.0
    retry_s: float = 60.0

    def __post_init__(self) -> None:
        super(RedisStorage, self).__post_init__()
        Server.parse(self.place)
        if self.namespace is not None and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", self.namespace):
            raise ConfigError(f"namespace = {self.namespace!r} must be up to 64 letters, digits, '.', '_' and '-'")
        if self.chunk_bytes <= 0 or self.timeout_s <= 0 or self.retry_s < 0:
            raise ConfigError(
                f"chunk_bytes = {self.chunk_bytes} and timeout_s = {self.timeout_s} must be > 0, retry_s = {self.retry_s} >= 0"
            )

    @override
    def shelf(self, home: Home) -> tuple[Shelf, str]:
        namespace = self.namespace or home.federation
        server = Server.parse(self.place)
        link = Link(redis.Redis.from_pool(self._pool(server, home)), str(server), self.retry_s)
        return RedisShelf(link, namespace, self.chunk_bytes), f"{namespace!r} at {server}"

    def _pool(self, server: Server, home: Home) -> redis.ConnectionPool:
        options: dict[str, Any] = {
            "db": server.database,
            "username": self.username,
            "password": self._password(),
            "socket_timeout": self.timeout_s,
            "retry": Retry(NoBackoff(), 0),  # Link tries again, and says so
        }
        if server.socket:
            return redis.ConnectionPool(connection_class=redis.UnixDomainSocketConnection, path=server.socket, **options)
        return redis.ConnectionPool(host=server.host, port=server.port, **options, **self._security(home))

    def _security(self, home: Home) -> dict[str, Any]:  # noqa: ARG002  # what encrypts has paths, which start there
        return {}

    def _password(self) -> str | None:
        if self.password_env is None:
            return None
        try:
            return os.environ[self.password_env]
        except KeyError:
            raise StoreError(
                f"the environment variable {self.password_env}, which holds the model store's password, is not set"
            ) from None


@dataclass(frozen=True, slots=True)
class RedissStorage(RedisStorage):
    """Keeps models in a Redis or Valkey server that is reached by TLS; its certificate must be for the host that is named.

    Attributes:
        lineage_length: newest versions, and newest models of each learner, that are kept, >= 0. 0: all.
        max_bytes: of all models together, >= 0; what was put first makes room, but never the newest version. 0: no limit.
        place: HOST, HOST:PORT or HOST:PORT/DATABASE.
        namespace: what keys begin with, after fedactors:. The federation's name where it is not given.
        username: of an access control list; the default user where it is not given.
        password_env: the environment variable that holds the password.
        chunk_bytes: of a model in one value, > 0.
        timeout_s: how long an answer of the server may take, > 0.
        retry_s: how long a server that went away is waited for, >= 0. On opening it must be there.
        ca_file: certificates (PEM) of those who may sign the server's; the system's where it is not given.
        cert_file: the certificate (PEM) that the server wants to see, where it wants one.
        key_file: the private key (PEM) of `cert_file`.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        super(RedissStorage, self).__post_init__()
        if Server.parse(self.place).socket:
            raise ConfigError(
                f"place {self.place!r} is a Unix socket, which is not encrypted; write redis:// instead of rediss://"
            )
        if (self.cert_file is None) != (self.key_file is None):
            raise ConfigError("cert_file and key_file go together; give both or none")

    @override
    def _security(self, home: Home) -> dict[str, Any]:
        paths = {"ssl_ca_certs": self.ca_file, "ssl_certfile": self.cert_file, "ssl_keyfile": self.key_file}
        given = {name: str(home.base_dir / Path(path).expanduser()) for name, path in paths.items() if path is not None}
        for path in given.values():
            if not Path(path).is_file():
                raise StoreError(f"the model store's TLS needs {path}, but there is no such file")
        return {
            "connection_class": redis.SSLConnection,
            "ssl_check_hostname": True,
            "ssl_min_version": ssl.TLSVersion.TLSv1_3,
            **given,
        }
