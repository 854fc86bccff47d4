"""Running a verb's coroutine: the event loop, and what Ctrl-C does to it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import click

from fedactors.cli.exit_codes import ExitCode
from fedactors.config.tables import RuntimeTable
from fedactors.runtime.garbage import collect_seldom
from fedactors.runtime.switching import take_short_turns
from fedactors.transport.malloc import keep_freed_memory

T = TypeVar("T")
StopCleanly: TypeAlias = Callable[[], Awaitable[None]]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRPC_SETTINGS = {"GRPC_VERBOSITY": "ERROR", "GRPC_ENABLE_FORK_SUPPORT": "0"}
"""Unless the user has set them: gRPC's core else writes to stderr, past every log, whenever a process is started."""

STOPPING = "stopping; Ctrl-C again stops at once"


class Interrupts:
    """What Ctrl-C (and SIGTERM) does to one coroutine.

    The first has it end cleanly, as `then` was told; the second cancels it; a third ends the process as Python does.
    """

    def __init__(self, said: str = STOPPING) -> None:
        """Say this on stderr at the first."""
        self.asked = False
        self.aborted = False
        self._said = said
        self._stop_cleanly: StopCleanly | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stopping: asyncio.Task[None] | None = None

    def then(self, stop_cleanly: StopCleanly) -> None:
        """From now on, the first Ctrl-C does this. It is done at once where that Ctrl-C has come already."""
        self._stop_cleanly = stop_cleanly
        if self.asked and self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop())

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in this task, with the signals taken until it ends."""
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        _take_signals(loop, self._interrupted)
        try:
            return await work
        finally:
            _leave_to_python(loop)
            if self._stopping is not None:
                self._stopping.cancel()

    def _interrupted(self) -> None:
        if self.asked:
            self._abort()
            return
        self.asked = True
        _say(self._said)
        if self._stop_cleanly is not None:
            self.then(self._stop_cleanly)

    def _abort(self) -> None:
        assert self._task is not None
        self.aborted = True
        self._task.cancel()
        _leave_to_python(self._task.get_loop())

    async def _stop(self) -> None:
        assert self._stop_cleanly is not None
        try:
            await self._stop_cleanly()
        except Exception as error:  # whatever it is, the user wants an end
            _say(f"cannot stop cleanly: {error}")
            self._abort()


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How a verb's coroutine ended.

    Attributes:
        value: what it returned.
        interrupted: it was asked to stop before its time.
    """

    value: T
    interrupted: bool


def run(body: Callable[[Interrupts], Coroutine[Any, Any, T]], runtime: RuntimeTable, *, said: str = STOPPING) -> Outcome[T]:
    """Run what `body` returns to its end.

    Args:
        body: the work; it is given the interrupts, to say how it is stopped cleanly.
        runtime: how this process runs.
        said: on stderr at the first Ctrl-C.

    Raises:
        Exit: it was cancelled by the second Ctrl-C; the code is 130.
        KeyboardInterrupt: by the third, or before it began.
    """
    interrupts = Interrupts(said)
    for name, setting in GRPC_SETTINGS.items():
        os.environ.setdefault(name, setting)
    if runtime.malloc_tuning:
        keep_freed_memory()
    if runtime.gc_tuning:
        collect_seldom()
    if runtime.switch_tuning:
        take_short_turns()
    try:
        with asyncio.Runner(loop_factory=_loop_factory(runtime.uvloop)) as runner:
            value = runner.run(interrupts.guard(body(interrupts)))
    except (asyncio.CancelledError, Exception):
        if not interrupts.aborted:
            raise
    if interrupts.aborted:
        raise click.exceptions.Exit(ExitCode.ABORTED)
    return Outcome(value, interrupts.asked)


def _say(text: str) -> None:
    """Write a line to what sys.stderr is now; a live display keeps it out of its picture, where click's own echo would not."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _loop_factory(uvloop: bool) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if uvloop:
        try:
            from uvloop import new_event_loop
        except ImportError:  # not made for this platform
            return None
        return new_event_loop  # type: ignore[no-any-return]  # it has no types
    return None


def _take_signals(loop: asyncio.AbstractEventLoop, interrupted: Callable[[], None]) -> None:
    try:
        for number in SIGNALS:
            loop.add_signal_handler(number, interrupted)
    except NotImplementedError:  # Windows: the first Ctrl-C is a KeyboardInterrupt
        return


def _leave_to_python(loop: asyncio.AbstractEventLoop) -> None:
    try:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
    except NotImplementedError:
        return
