"""A connection to a Redis or Valkey server that comes back, and says in words what went wrong."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

from fedactors.errors import StoreError
from fedactors.log import get_logger

T = TypeVar("T")

FIRST_DELAY_S = 0.1
DELAY_MAX_S = 5.0
ANOTHER = "or write another [store] url"

log = get_logger("fedactors.storage")


class Link:
    """A client, and the patience with its server.

    Attributes:
        place: of the server, in words.
    """

    def __init__(self, client: redis.Redis, place: str, retry_s: float) -> None:
        self.place = place
        self._client = client
        self._retry_s = retry_s
        self._closing = threading.Event()

    def ask(self, work: Callable[[redis.Redis], T], *, patient: bool = True) -> T:
        """What the server answers. A server that went away is waited for; so the work may be done more than once.

        Args:
            work: what is asked; it changes nothing when it is done again.
            patient: wait for a server that is away.

        Raises:
            StoreError: the server stayed away, or refuses; the message says why and what to do.
        """
        gone_since, delay = math.inf, FIRST_DELAY_S
        while True:
            try:
                return work(self._client)
            except RedisError as error:
                now = time.monotonic()
                gone_since = min(gone_since, now)
                away_s = now - gone_since
                if not patient or not _passes(error) or away_s + delay > self._retry_s or self._closing.is_set():
                    raise StoreError(self._why(error, away_s)) from error
                log.warning("store_away", place=self.place, error=str(error), next_try_s=round(delay, 3))
            self._closing.wait(delay * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
            delay = min(2 * delay, DELAY_MAX_S)

    def interrupt(self) -> None:
        """Wait no longer for the server."""
        self._closing.set()

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _why(self, error: RedisError, away_s: float) -> str:
        server = f"the model store's server at {self.place}"
        match error:
            case AuthenticationError() | NoPermissionError():
                return f"{server} does not let us in: {error}; see the options username and password_env, and the server's ACL"
            case OutOfMemoryError():
                return f"{server} is full: {error}; raise its maxmemory, or set lineage_length or max_bytes"
            case ReadOnlyError():
                return f"{server} is a replica that cannot be written to; name the primary, {ANOTHER}"
            case BusyLoadingError():
                return f"{server} is still loading its data after {away_s:.1f} s; try again when it is done"
            case redis.ConnectionError() | redis.TimeoutError():
                waited = f", and was waited for {away_s:.1f} s" if away_s else ""
                return f"{server} does not answer ({error}){waited}; start it, {ANOTHER}"
            case _:
                return f"{server} refuses: {error}; see that it is a Redis (6 or newer) or Valkey server, {ANOTHER}"


def _passes(error: RedisError) -> bool:
    """It may be better in a while."""
    return isinstance(error, (redis.ConnectionError, redis.TimeoutError)) and not isinstance(error, AuthenticationError)
