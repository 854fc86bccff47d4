"""Where streams wait for answers of actors that may be waiting for these very streams to end."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from fedactors.errors import ActorStopped

T = TypeVar("T")


class WaitingRoom:
    """A gateway that stops waits for its streams. One that waits for an answer of that gateway or its parent would not end."""

    def __init__(self) -> None:
        self._asked: set[asyncio.Future[Any]] = set()
        self._is_closed = False

    async def answer(self, asked: asyncio.Future[T]) -> T:
        """The answer to what was asked; a question that is not answered when this closes is taken back.

        Raises:
            ActorStopped: this is closed.
        """
        if asked.done():
            return asked.result()
        if self._is_closed:
            asked.cancel()
            raise ActorStopped("this controller goes down, or begins again")
        self._asked.add(asked)
        try:
            return await asked
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            raise ActorStopped("this controller goes down, or begins again") from None
        finally:
            self._asked.discard(asked)

    def close(self) -> None:
        """Nobody waits any more."""
        self._is_closed = True
        for asked in list(self._asked):
            asked.cancel()


def _is_cancelled() -> bool:
    """Whether it is this task that shall end, rather than what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
