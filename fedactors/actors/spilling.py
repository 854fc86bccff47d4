"""How an upload is received into a spill: a window of it is in memory, is checked and written when it is full, and used again."""

from __future__ import annotations

from collections import deque

import numpy as np
from typing_extensions import override

from fedactors.actors.compute import Compute
from fedactors.actors.spill import Spill
from fedactors.aggregation.sharded import stretch
from fedactors.errors import UpdateRefused
from fedactors.log import get_logger
from fedactors.model import Buffer, Layout
from fedactors.protocol import Receiver
from fedactors.task import Refusal

log = get_logger("fedactors.spill")


class SpillingReceiver(Receiver):
    """Puts chunks into a spill, window by window, in a compute thread.

    What cannot be taken (a weight that is not finite, a disk that is full) is said once everything is here, by `settle`: until
    then the chunks that are on their way are dropped.

    Attributes:
        spill: where they go.
        written_bytes: that are there; of an attempt that is cut, the next one goes on from here.
    """

    def __init__(self, layout: Layout, spill: Spill, written_bytes: int, compute: Compute, *, refuse_not_finite: bool) -> None:
        super().__init__(layout, spill.nbytes, written_bytes)
        self.spill = spill
        self.written_bytes = written_bytes
        self._compute = compute
        self._refuse_not_finite = refuse_not_finite
        self._refused: UpdateRefused | None = None
        self._full: deque[Buffer] = deque()
        self._window = np.empty(spill.window_bytes, np.uint8)
        self._filled = 0

    @override
    def put(self, offset: int, data: memoryview) -> None:
        while data:
            room = self._window.nbytes - self._filled
            taken, data = data[:room], data[room:]
            self._window.data[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            if self._filled == self._window.nbytes:
                self._turn_over()

    def _turn_over(self) -> None:
        self._full.append(self._window[: self._filled])
        self._window, self._filled = np.empty(self.spill.window_bytes, np.uint8), 0

    @property
    @override
    def is_full(self) -> bool:
        return bool(self._full)

    @override
    async def make_room(self) -> None:
        while self._full:
            window = self._full.popleft()
            if self._refused is None:
                await self._spill(window)

    async def _spill(self, window: Buffer) -> None:
        self.spill.is_settled, was_settled = False, self.spill.is_settled
        self._refused = await self._compute.run(self.spill.nbytes, self._written, window, self.written_bytes)
        self.spill.is_settled = was_settled
        if self._refused is None:
            self.written_bytes += window.nbytes

    def _written(self, window: Buffer, start: int) -> UpdateRefused | None:
        """Check a window and write it; why it cannot be taken, if it cannot."""
        if self._refuse_not_finite:
            tensor = stretch(self.layout, start, start + window.nbytes).first_not_finite(window)
            if tensor is not None:
                return UpdateRefused(Refusal.NOT_FINITE, f"tensor {tensor!r} holds NaN or an infinity")
        try:
            self.spill.write(start, window)
        except OSError as error:
            remedy = "make room where the controller keeps updates, or name another place as aggregation.shards_dir"
            said = f"{self.spill.nbytes:,} bytes of an update cannot be kept: {error.strerror or error}; {remedy}"
            log.error("update_not_spilled", why=said)
            return UpdateRefused(Refusal.NO_ROOM, said)
        return None

    async def settle(self) -> None:
        """Everything has come: see that it is in the spill.

        Raises:
            UpdateRefused: a weight is not finite, or there is no room.
        """
        if self._filled:
            self._turn_over()
        await self.make_room()
        if self._refused is not None:
            raise self._refused
