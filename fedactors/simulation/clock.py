"""Virtual time: an event loop that jumps to its next timer when nothing is ready, and says so when nothing can ever happen.

Ordinary asyncio code runs in it unchanged: sleep, timeout, queues, locks, task groups. What is woken by other threads or by the
operating system is not supported, for virtual time would run past it: executors (`asyncio.to_thread`, `run_in_executor`, name
look-ups), sockets, subprocesses. Give the code under test an executor of its own to leave out, and a transport in memory.
"""

from __future__ import annotations

import asyncio
import selectors
from asyncio import selector_events
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

from typing_extensions import override

from fedactors.runtime import Clock
from fedactors.simulation.agenda import Agenda

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH_S = 1_700_000_000.0
"""What `clock.time()` says when virtual time begins: 14 November 2023."""

RESOLUTION_S = 1e-6
"""Timers that are due within it are due. After 97 days, asyncio's own 1e-9 is less than the clock's last digit, and a timer that
is due would never be."""


class Deadlock(AssertionError):
    """Every task waits, and no timer runs: nothing can ever happen."""


class VirtualClock(Clock):
    """The clock of a virtual loop; no time passes while anything runs."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(loop)
        self.stopwatch = loop.time

    @override
    def time(self) -> float:
        return EPOCH_S + self.now()


class VirtualLoop(selector_events.BaseSelectorEventLoop):
    """An event loop in virtual time.

    Attributes:
        clock: its clock; an actor system on this loop takes it.
        agenda: what is due beside the loop's timers, and before those that are due together with it.
        on_turn: is called at each turn of the loop, though no time passes: for what goes by the wall clock.
    """

    def __init__(self) -> None:
        self._virtual_s = 0.0
        self.agenda = Agenda()
        self.on_turn: Callable[[], object] | None = None
        super().__init__(_Jump(self))
        self._clock_resolution = RESOLUTION_S
        self.clock = VirtualClock(self)

    @override
    def time(self) -> float:
        return self._virtual_s

    def jump(self, seconds: float | None) -> None:
        """Nothing is ready: go to the agenda or the next timer, which is so far away. None: there is no timer."""
        due_s = self.agenda.next_s
        if due_s is not None and (seconds is None or due_s <= self._virtual_s + seconds):
            self._virtual_s = max(self._virtual_s, due_s)
            self.agenda.tell_due(self._virtual_s)
            return
        if seconds is None:
            waiting = sorted(task.get_name() for task in asyncio.all_tasks(self))
            raise Deadlock(f"at {self._virtual_s:g} s virtual time every task waits and no timer runs: {', '.join(waiting)}")
        self._virtual_s += seconds

    @override
    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        raise RuntimeError(f"virtual time has no threads to run {func!r} in: inject what runs it")


class _Jump(selectors.SelectSelector):
    """Instead of waiting for the operating system, time passes."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._virtual_loop = loop

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if (on_turn := self._virtual_loop.on_turn) is not None:
            on_turn()
        if timeout is None or timeout > 0:
            self._virtual_loop.jump(timeout)
        return []


def run_virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it to its end in virtual time, on a loop of its own.

    Raises:
        Deadlock: it waits for what can never happen.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
