"""One run followed, and any number of browsers told of it.

A browser has a place in what is known, not a queue: whoever reads slowly is told the newest state next time and holds nobody up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from fedactors.dashboard.chronicle import Chronicle, RoundPoint
from fedactors.dashboard.source import Source
from fedactors.dashboard.trail import trail
from fedactors.errors import FedactorsError, TransportError
from fedactors.log import get_logger
from fedactors.record import Event

log = get_logger("fedactors.dashboard")

PAUSE_S = 0.5
"""Between two messages to a browser: what happens meanwhile travels together."""
HEARTBEAT_S = 5.0
"""A browser hears so often that the page is live, and its status is asked for."""
TRAIL_EVERY_S = 2.0
"""The versions are listed so often at most, and at the end."""
VERSIONS_PER_MESSAGE = 10
STATUS_TIMEOUT_S = 2.0
LIST_TIMEOUT_S = 5.0
LAST_LIST_TIMEOUT_S = 0.3
"""A controller whose run is over may have gone; the page's server is about to."""
ROUNDS_PER_MESSAGE = 500
BROWSERS_MAX = 64
RETRY_MS = 1_000
"""A browser that was cut off comes back after so long."""


class TooManyBrowsers(FedactorsError):
    """As many as may watch at once do so already."""


class Feed:
    """Follows a run. `follow` has to run for anything to happen.

    Attributes:
        chronicle: what is known of the run.
        source: where it is known from.
        lost: why the run cannot be followed any more; empty while it can, and after its end.
    """

    def __init__(self, source: Source, chronicle: Chronicle, observers: Sequence[Callable[[Event], None]] = ()) -> None:
        """Follow this source into this chronicle, and tell the observers of each event, too."""
        self._observers = observers
        self.source = source
        self.chronicle = chronicle
        self.lost = ""
        self._over = False
        self._news = asyncio.Event()
        self._browsers = 0
        self._known_as: tuple[Any, ...] = ()
        self._known = b""

    async def follow(self) -> None:
        """Take in events until the run is over or cannot be followed; does not raise for what the run's side does."""
        try:
            async for news in self.source.events():
                for event in news:
                    for take in (self.chronicle.take, *self._observers):
                        take(event)
                self.wake()
        except TransportError as error:
            self.lost = str(error)
            log.warning("run_lost", why=self.lost)
        except Exception as error:  # a page that fails must not harm the run that it looks at
            self.lost = f"{type(error).__name__}: {error}"
            log.exception("page_failed")
        finally:
            self._over = True
            self.wake()

    def wake(self) -> None:
        """Whoever waits goes on; whoever waits from now on waits for something newer."""
        self._news.set()
        self._news = asyncio.Event()

    async def messages(self, from_number: int = 0) -> AsyncIterator[bytes]:
        """What one browser is told, as server-sent events; ends with the run.

        A message `rounds` tells of rounds that the browser does not have yet and carries the number to come back with; messages
        `state` and `versions` take the place of those before.

        Args:
            from_number: of the first event whose round is wanted.

        Raises:
            TooManyBrowsers: BROWSERS_MAX are there.
        """
        if self._browsers >= BROWSERS_MAX:
            raise TooManyBrowsers(f"{BROWSERS_MAX} browsers watch already; close one")
        self._browsers += 1
        loop = asyncio.get_running_loop()
        listed, next_list_s = 0, loop.time()
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            while True:
                news, over = self._news, self._over
                while rounds := self.chronicle.rounds_after(from_number, ROUNDS_PER_MESSAGE):
                    from_number = rounds[-1].number + 1
                    yield _message("rounds", [_as_map(point) for point in rounds], from_number)
                yield await self._state()
                if self.chronicle.versions != listed and (over or loop.time() >= next_list_s):
                    listed, next_list_s = self.chronicle.versions, loop.time() + TRAIL_EVERY_S
                    patience_s = LAST_LIST_TIMEOUT_S if self.chronicle.finished else LIST_TIMEOUT_S
                    yield _message("versions", await trail(self.source, VERSIONS_PER_MESSAGE, patience_s))
                if over:
                    yield _message("over", {"why": self.lost})
                    return
                await asyncio.sleep(PAUSE_S)
                await _wait(news, HEARTBEAT_S)
        finally:
            self._browsers -= 1

    async def _state(self) -> bytes:
        """The message `state`, with what the controller says of itself, which no event tells; made once for all browsers."""
        status: Mapping[str, Any] = {}
        if self.source.takes_orders and not self._over and not self.chronicle.finished:
            try:
                async with asyncio.timeout(STATUS_TIMEOUT_S):
                    status = await self.source.status()
            except (TransportError, TimeoutError) as error:
                status = {"phase": f"the controller is away: {error}"}
        told = {"phase": status.get("phase"), "paused": status.get("paused"), "lost": self.lost}
        key = (self.chronicle.next_number, *told.values())
        if key != self._known_as:
            self._known_as, self._known = key, _message("state", self.chronicle.state() | told)
        return self._known


async def _wait(news: asyncio.Event, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await news.wait()
    except TimeoutError:
        return


def _as_map(point: RoundPoint) -> dict[str, Any]:
    return {name: getattr(point, name) for name in point.__slots__}


def _message(kind: str, data: Any, number: int | None = None) -> bytes:
    """A server-sent event. The number comes back as the header Last-Event-ID when the browser does."""
    identity = "" if number is None else f"id: {number}\n"
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return f"event: {kind}\n{identity}data: {text}\n\n".encode()
