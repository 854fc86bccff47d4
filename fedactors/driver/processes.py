"""Learners as child processes of this one: started, watched, and never left behind."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from fedactors.errors import LearnerFailed
from fedactors.log import get_logger

log = get_logger("fedactors.driver")

NEWS_S = 1.0
"""News of the controller may take so long."""

STOP_GRACE_S = 5.0
"""A process that was asked to end may take so long before it is made to."""


@dataclass(frozen=True, slots=True)
class Child:
    """A learner's process.

    Attributes:
        name: the learner's id.
        process: its process.
        log: where what it prints goes.
    """

    name: str
    process: Process
    log: Path

    def last_line(self) -> str:
        """The last line that it printed: as a rule, why it ended."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip().removeprefix("error: ") for line in reversed(lines) if line.strip()), "it printed nothing")


class Processes:
    """The learners' processes; leaving the context ends them all, at once where it is left by a cancellation.

    Each inherits the read end of a pipe whose write end only this process holds: when this process ends, in whatever way, the
    kernel closes it, and they end too.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._alive_fd, hold_fd = os.pipe()
        self._exits.callback(os.close, self._alive_fd)
        self._exits.callback(os.close, hold_fd)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None or not issubclass(kind, asyncio.CancelledError):
                await asyncio.gather(*(self._end(child) for child in self._children))
        finally:
            await self._kill_all()
            await self._exits.aclose()

    async def _kill_all(self) -> None:
        """Nothing is left of those that had no time to end."""
        for child in self._children:
            if child.process.returncode is None:
                child.process.kill()
                await child.process.wait()

    async def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start `fedactors` with these arguments as a learner's process."""
        command = [sys.executable, "-m", "fedactors", *arguments, "--parent-fd", str(self._alive_fd)]
        path = self._logs / f"{name}.log"
        with path.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=[self._alive_fd],
                start_new_session=True,
                env={**os.environ, **environment},
            )
        log.info("learner_started", learner=name, pid=process.pid)
        self._children.append(Child(name, process, path))

    async def wait_too_few(self, needed: Callable[[], int]) -> LearnerFailed:
        """Wait until fewer than `needed()` processes are left, and tell why they ended."""
        running = {asyncio.create_task(child.process.wait()) for child in self._children}
        try:
            while not await self._too_few(running, needed):
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                log.info("learner_processes", ended=len(ended), running=len(running))
        finally:
            for task in running:
                task.cancel()
        reasons: dict[str, list[str]] = {}
        for child in self._children:
            if child.process.returncode is not None:
                reasons.setdefault(child.last_line(), []).append(child.name)
        told = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
        return LearnerFailed(f"{len(running)} of at least {needed()} learner processes are left; {told}")

    async def _too_few(self, running: set[asyncio.Task[int]], needed: Callable[[], int]) -> bool:
        """Whether too few are left. Learners that were told that the federation is over may be gone before that news is here."""
        if len(running) < needed():
            await asyncio.sleep(NEWS_S)
        if len(running) >= needed() and not running:
            await asyncio.get_running_loop().create_future()  # nobody is needed any more: until this is cancelled
        return len(running) < needed()

    async def _end(self, child: Child) -> None:
        """Give a process that was told goodbye time to end, then ask it to, then make it."""
        for send in (None, child.process.terminate, child.process.kill):
            if child.process.returncode is not None:
                return
            if send is not None:
                log.warning("learner_signalled", learner=child.name, signal=send.__name__)
                send()
            try:
                async with asyncio.timeout(STOP_GRACE_S):
                    await child.process.wait()
            except TimeoutError:
                continue
