"""A learner's connection as its tasks see it: there, or to be waited for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fedactors.errors import StreamClosed, Unreachable
from fedactors.protocol.messages import Welcome
from fedactors.protocol.session import Session, SessionLost
from fedactors.protocol.weight_streams import WeightStreams

DELAY_MIN_S = 0.2
DELAY_MAX_S = 5.0
TRANSFER_FAILURES_MAX = 6
"""Of one transfer, while the session itself goes on; with the delays between them they take about ten seconds."""

Result = TypeVar("Result")


def delays(rng: random.Random) -> Iterator[float]:
    """Seconds between attempts: doubled each time up to a limit, and scattered so that learners do not come all at once."""
    delay = DELAY_MIN_S
    while True:
        yield delay * rng.uniform(0.5, 1.5)
        delay = min(2 * delay, DELAY_MAX_S)


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One session, from its welcome to its end.

    Attributes:
        session: open.
        terms: what the controller said in its welcome.
        streams: for weights.
        lost: done once the session is over.
    """

    session: Session
    terms: Welcome
    streams: WeightStreams
    lost: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Line:
    """The link that there is now, if any."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._link: Link | None = None
        self._is_up = asyncio.Event()

    def up(self, link: Link) -> None:
        """A session has begun."""
        self._link = link
        self._is_up.set()

    def down(self) -> None:
        """The session is over, or no longer to be used. Idempotent."""
        if self._link is not None:
            self._link.lost.set_result(None)
            self._link.streams.close()
            self._link = None
            self._is_up.clear()

    async def link(self) -> Link:
        """The link, once there is one."""
        while self._link is None:
            await self._is_up.wait()
        return self._link

    async def use(
        self, transfer: Callable[[Link], Coroutine[Any, Any, Result]], progress: Callable[[], int] = lambda: 0
    ) -> Result:
        """Do a transfer that may be repeated: after a loss, over the next link.

        Args:
            transfer: one attempt.
            progress: how far all attempts together have come, in bytes.

        Raises:
            TransportError: it failed TRANSFER_FAILURES_MAX times in a row without progress although the session went on.
        """
        failures, pauses, reached_bytes = 0, delays(self._rng), progress()
        while True:
            link = await self.link()
            try:
                return await _unless_lost(link, transfer(link))
            except (StreamClosed, Unreachable):
                if progress() > reached_bytes:
                    failures, pauses, reached_bytes = 0, delays(self._rng), progress()
                failures += link is self._link
                if failures == TRANSFER_FAILURES_MAX:
                    raise
            await asyncio.sleep(next(pauses))


async def _unless_lost(link: Link, transfer: Coroutine[Any, Any, Result]) -> Result:
    """The transfer's result, unless the session is lost before; a transfer without a session would wait for a dead peer."""
    moving = asyncio.ensure_future(transfer)
    either: set[asyncio.Future[Any]] = {moving, link.lost}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not moving.done():
            raise SessionLost("the session was lost during a transfer")
        return moving.result()
    finally:
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)
