"""How many chunks of weights this process writes at the same time: two.

With more, writes to many streams pile up in the transport, the event loop is held up for a tenth of a second at a time, and
nothing gets faster. A write that the peer does not take within 50 ms gives its place back, so that a stalled receiver holds up
nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque

from fedactors.transport import Frame, Stream

WRITES_MAX = 2
PATIENCE_S = 0.05
SMALL_BYTES = 16 * 1024


class Gate:
    """Lets `writes_max` writes pass at a time, first come, first served."""

    def __init__(self, writes_max: int = WRITES_MAX, patience_s: float = PATIENCE_S) -> None:
        self._free = writes_max
        self._patience_s = patience_s
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def send(self, stream: Stream, frame: Frame) -> None:
        """`stream.send(frame)` when it is its turn; raises what that raises. A small frame does not wait for one."""
        if len(frame) <= SMALL_BYTES:
            await stream.send(frame)
            return
        await self._enter()
        place = _Place(self)
        timer = asyncio.get_running_loop().call_later(self._patience_s, place.leave)
        try:
            await stream.send(frame)
        finally:
            timer.cancel()
            place.leave()

    async def _enter(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # the place was handed over just before
                self.leave()
            raise

    def leave(self) -> None:
        """Hand a place to whoever has waited longest."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class _Place:
    """One writer's place; left once, by its timer or by its writer."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate: Gate | None = gate

    def leave(self) -> None:
        if self._gate is not None:
            self._gate.leave()
            self._gate = None


GATE = Gate()
"""The process's."""
