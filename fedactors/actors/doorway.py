"""Who holds streams: strangers a few, and not for long; each learner a few, for as long as it takes part.

A stream costs memory and a task here before anybody has said a word on it. Until its first message is here, nobody knows whose it
is: such a stream is cut when that takes too long, and when too many wait, the one that has waited longest makes room. From then
on it is its learner's, who may hold a bounded number of them, and ends with that learner's part in the federation.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from fedactors.errors import RemoteProtocolError
from fedactors.model import LearnerId
from fedactors.runtime import ActorRef
from fedactors.transport import Stream

WEIGHT_STREAMS_MAX = 16
"""Of one learner, for fetches and pushes; an honest one has as many as it has transfers at the same time."""
JOINS_MAX = 20
"""Of one learner within JOINS_WITHIN_S; who joins more often is to come back later."""
JOINS_WITHIN_S = 10.0

R = TypeVar("R")


class Doorway:
    """The streams of one gateway.

    Attributes:
        strangers: streams that wait for their first message, the one that has waited longest first.
    """

    def __init__(self, strangers_max: int, first_message_timeout_s: float) -> None:
        self.strangers: dict[Stream, None] = {}
        self._strangers_max = strangers_max
        self._timeout_s = first_message_timeout_s
        self._held: defaultdict[ActorRef[Any], set[Stream]] = defaultdict(set)
        self._joins: dict[LearnerId, list[float]] = {}  # who joined last at the end

    async def first(self, stream: Stream, message: Awaitable[R]) -> R:
        """The first message of a stream, which is being read.

        Raises:
            RemoteProtocolError: it did not come in time, or is none.
            StreamClosed: the peer is gone, or the stream has made room for another one.
        """
        if len(self.strangers) >= self._strangers_max:
            oldest = next(iter(self.strangers))
            del self.strangers[oldest]
            oldest.cut(f"{self._strangers_max:,} streams wait for their first message, and this one has waited longest")
        self.strangers[stream] = None
        try:
            async with asyncio.timeout(self._timeout_s):
                return await message
        except TimeoutError:
            raise RemoteProtocolError(f"{stream.peer} said nothing on {stream.method} within {self._timeout_s:g} s") from None
        finally:
            self.strangers.pop(stream, None)

    @contextmanager
    def held_by(self, proxy: ActorRef[Any], stream: Stream) -> Iterator[None]:
        """A stream is used for a learner's weights.

        Raises:
            RemoteProtocolError: the learner has too many.
        """
        held = self._held[proxy]
        if len(held) >= WEIGHT_STREAMS_MAX:
            raise RemoteProtocolError(f"a learner may hold {WEIGHT_STREAMS_MAX} streams for weights; use one for many transfers")
        held.add(stream)
        try:
            yield
        finally:
            held.discard(stream)
            if not held:
                self._held.pop(proxy, None)

    def close(self, proxy: ActorRef[Any]) -> None:
        """A learner's part is over: so are its streams."""
        for stream in tuple(self._held.get(proxy, ())):
            stream.cut("the session is over")

    def joins_too_often(self, learner: LearnerId, now_s: float) -> bool:
        """Note that a learner joins; whether it has joined too often of late."""
        while self._joins and now_s - self._joins[oldest := next(iter(self._joins))][-1] > JOINS_WITHIN_S:
            del self._joins[oldest]
        joins = [join_s for join_s in self._joins.pop(learner, ()) if now_s - join_s <= JOINS_WITHIN_S]
        too_often = len(joins) >= JOINS_MAX
        self._joins[learner] = joins if too_often else [*joins, now_s]
        return too_often
