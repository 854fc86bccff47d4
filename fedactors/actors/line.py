"""The line to one learner: the session that it opened last, which may be broken for a while.

What is said on a broken line is lost; whoever says it says it again when the learner is back.
"""

from __future__ import annotations

import asyncio

from fedactors.errors import StreamClosed
from fedactors.log import get_logger
from fedactors.model import LearnerId
from fedactors.protocol import Cancel, GoodbyeReason, Masking, Session, Task
from fedactors.runtime import Deferred

log = get_logger("fedactors.line")

GOODBYE_S = 1.0
"""How long a goodbye may take before the stream is cut."""


class Line:
    """One session after another; whoever serves a session's stream is told when it is over."""

    def __init__(self, learner: LearnerId) -> None:
        self._learner = learner
        self._session: Session | None = None
        self._over: Deferred[None] | None = None

    @property
    def is_new(self) -> bool:
        """Whether the learner has not had a session yet."""
        return self._session is None

    def take(self, session: Session, over: Deferred[None]) -> None:
        """Use a new session from now on; `over` is resolved when that ends."""
        self._session, self._over = session, over

    def uses(self, session: Session) -> bool:
        """Whether it is the newest one."""
        return session is self._session

    async def say(self, message: Task | Cancel | Masking) -> None:
        """Say something; nobody hears it while the line is broken."""
        if self._session is not None:
            try:
                await self._session.send(message)
            except StreamClosed:
                log.debug("not_sent", learner=self._learner, message=type(message).__name__)

    async def leave(self, reason: GoodbyeReason, why: str) -> None:
        """End the session with a goodbye, or without one where that cannot be said in time."""
        if self._session is not None:
            try:
                async with asyncio.timeout(GOODBYE_S):
                    await self._session.goodbye(reason, why)
            except (TimeoutError, StreamClosed):
                self._session.cut(why)
        self.close()

    def close(self) -> None:
        """The session is over."""
        if self._over is not None:
            self._over.resolve(None)
            self._over = None
