"""A client's way to one of several listeners: to the next one when one is away for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from fedactors.errors import Unreachable
from fedactors.log import get_logger
from fedactors.transport.base import Channel, Stream

log = get_logger("fedactors.transport")

ATTEMPT_MIN_S = 1.0
"""Of one attempt, however little is left of the time that a listener has."""


class Fallback(Channel):
    """Opens streams on one of its channels, and on the next one, in a circle, once nobody has answered there for `away_s`.

    Who knows a client at one listener does not know it at another one: its session ends there, and begins anew.
    """

    def __init__(self, channels: Sequence[Channel], away_s: float) -> None:
        """Nothing is opened yet.

        Args:
            channels: at least one, in the order in which they are tried; closed with this one.
            away_s: how long one may give no answer, >= 0.
        """
        self._channels = list(channels)
        self._away_s = away_s
        self._at = 0
        self._away_since_s: float | None = None

    @override
    def leave(self, stream: Stream) -> None:
        for channel in self._channels:
            channel.leave(stream)

    @override
    async def open(self, method: str, *, timeout_s: float) -> Stream:
        at, began_s = self._at, asyncio.get_running_loop().time()
        since_s = began_s if self._away_since_s is None else self._away_since_s
        left_s = max(since_s + self._away_s - began_s, ATTEMPT_MIN_S)
        try:
            stream = await self._channels[at].open(method, timeout_s=min(timeout_s, left_s))
        except Unreachable:
            self._unanswered(at, since_s)
            raise
        if at == self._at:
            self._away_since_s = None
        return stream

    def _unanswered(self, at: int, since_s: float) -> None:
        """Nobody answered at this place since then; another stream may have moved on meanwhile."""
        if at != self._at:
            return
        self._away_since_s = since_s
        if asyncio.get_running_loop().time() - self._away_since_s >= self._away_s:
            self._at, self._away_since_s = (at + 1) % len(self._channels), None
            log.warning("next_listener", place=self._at, of=len(self._channels))

    @override
    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()
