"""A learner's streams for weights, each kept for the next transfer: opening a stream costs as much as moving a small model.

async with streams.stream(FETCH) as stream:
    ...                                     one transfer, from its request to its answer
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fedactors.transport import Channel, Stream

OPEN_TIMEOUT_S = 10.0
"""How long a stream for weights may take to open."""


class WeightStreams:
    """Streams of one session, by their method; as many as there are transfers at the same time."""

    def __init__(self, channel: Channel) -> None:
        """Open nothing yet; `channel` stays the caller's."""
        self._channel = channel
        self._idle: defaultdict[str, list[Stream]] = defaultdict(list)

    @asynccontextmanager
    async def stream(self, method: str) -> AsyncIterator[Stream]:
        """A stream for one transfer. A transfer that fails or is cancelled ends its stream.

        Raises:
            Unreachable: nobody answered within OPEN_TIMEOUT_S.
        """
        stream = self._left_open(method) or await self._channel.open(method, timeout_s=OPEN_TIMEOUT_S)
        try:
            yield stream
        except BaseException:
            stream.cut("a transfer was given up")
            raise
        self._idle[method].append(stream)

    def _left_open(self, method: str) -> Stream | None:
        idle = self._idle[method]
        while idle:
            stream = idle.pop()
            if not stream.is_over:
                return stream
        return None

    def close(self) -> None:
        """End the idle streams; those at work end with their transfers. Idempotent."""
        for idle in self._idle.values():
            for stream in idle:
                stream.cut("the session is over")
            idle.clear()
