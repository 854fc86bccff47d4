"""How much later than asked for an event loop wakes a task up."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

PERIOD_S = 0.002


@dataclass(frozen=True, slots=True)
class Lag:
    """Of one period of time, in milliseconds."""

    p50_ms: float
    p99_ms: float
    max_ms: float


class LagMeter:
    """Sleeps PERIOD_S again and again for as long as its block lasts; the event loop was held up for what is missing."""

    def __init__(self) -> None:
        self._lags_ms: list[float] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            asked_s = time.perf_counter() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            self._lags_ms.append((time.perf_counter() - asked_s) * 1000)

    @property
    def lag(self) -> Lag:
        """So far."""
        p50_ms, p99_ms = np.percentile(self._lags_ms or [0.0], (50, 99))
        return Lag(float(p50_ms), float(p99_ms), max(self._lags_ms, default=0.0))
