"""How far a simulation has come, on one line of stderr; and what Ctrl-C does to it."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from fedactors.observe.figures import counted, duration

if TYPE_CHECKING:
    from fedactors.simulation.costs import Progress

LINE_EVERY_S = 10.0
"""Between two lines where stderr is no terminal; on one, a line takes the place of the one before."""


class ProgressLine:
    """Shows progress from entering to leaving its context, in the main thread; calling it says whether to go on.

    The first Ctrl-C has the simulation end with what there is; the second ends the process as Python does.

    Args:
        name: of the federation.
        rounds_total: how many rounds there shall be; None where that is open.
        quiet: show nothing.

    Attributes:
        interrupted: Ctrl-C was pressed.
    """

    def __init__(self, name: str, rounds_total: int | None, *, quiet: bool = False) -> None:
        self.interrupted = False
        self._name = name
        self._rounds_total = rounds_total
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._next_s = time.monotonic() + LINE_EVERY_S
        self._former: Any = None

    def __enter__(self) -> Self:
        self._former = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        signal.signal(signal.SIGINT, self._former)
        if self._live:
            self._write("\r\x1b[K")

    def __call__(self, progress: Progress) -> bool:
        """Show how far it has come; whether it shall go on."""
        if self._live:
            self._write(f"\r\x1b[K{self._said(progress)}")
        elif not self._quiet and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + LINE_EVERY_S
            self._write(f"{self._said(progress)}\n")
        return not self.interrupted

    def _said(self, progress: Progress) -> str:
        total = self._rounds_total
        rounds = counted(progress.rounds, "round") if total is None else f"{progress.rounds:,}/{total:,} rounds"
        parts = (rounds, counted(progress.updates, "update"), f"{duration(progress.virtual_s)} of virtual time")
        return f"{self._name}: {', '.join(parts)} in {duration(progress.wall_s)}"

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
