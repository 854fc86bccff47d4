"""Where the events and versions of a run come from, and where orders to it go."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from typing_extensions import override

from fedactors.driver.saved_events import EVENTS_FILE, event_of
from fedactors.driver.saved_runs import State, look
from fedactors.driver.versions import AtController, Versions, of_run
from fedactors.errors import FederationFailed
from fedactors.protocol import AdminClient, Verb
from fedactors.record import Event

LOOK_EVERY_S = 0.5
"""How often the events of a run in a directory are looked for."""
LINES_AT_ONCE = 1_000


class Source(ABC):
    """A run.

    Attributes:
        configuration: as it runs, TOML; empty where that is not known here.
        takes_orders: there is a controller that can be paused and stopped.
    """

    configuration: str = ""
    takes_orders: bool = False

    @abstractmethod
    def events(self) -> AsyncIterator[Sequence[Event]]:
        """Every event so far, then the new ones, as they come together; ends with the run."""

    @abstractmethod
    async def status(self) -> Mapping[str, Any]:
        """What a controller tells of itself; empty where there is none."""

    @abstractmethod
    def versions(self) -> AbstractAsyncContextManager[Versions]:
        """The versions of the run, for as long as the context lasts."""

    @abstractmethod
    async def order(self, verb: Verb, why: str) -> None:
        """Have something done.

        Raises:
            FederationFailed: it is not done; the message is the reason.
        """


class FromController(Source):
    """A federation that a controller leads."""

    takes_orders = True

    def __init__(self, admin: AdminClient, configuration: str = "") -> None:
        self._admin = admin
        self.configuration = configuration

    @override
    async def events(self) -> AsyncIterator[Sequence[Event]]:
        first = int((await self._admin.status())["first_event"])
        async for news in self._admin.follow(first):
            yield news

    @override
    async def status(self) -> Mapping[str, Any]:
        return await self._admin.status()

    @override
    @asynccontextmanager
    async def versions(self) -> AsyncIterator[Versions]:
        yield AtController(self._admin)

    @override
    async def order(self, verb: Verb, why: str) -> None:
        await self._admin.order(verb, why)


class FromDirectory(Source):
    """A run in its directory, which may still go on."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self.configuration = (run / "config.toml").read_text(encoding="utf-8")

    @override
    async def events(self) -> AsyncIterator[Sequence[Event]]:
        with (self._run / EVENTS_FILE).open("rb") as file:
            while True:
                lines = await asyncio.to_thread(_whole_lines, file)
                if lines:
                    yield [event_of(line) for line in lines]
                elif (await asyncio.to_thread(look, self._run)).state is not State.RUNNING:
                    return
                else:
                    await asyncio.sleep(LOOK_EVERY_S)

    @override
    async def status(self) -> Mapping[str, Any]:
        return {}

    @override
    def versions(self) -> AbstractAsyncContextManager[Versions]:
        return of_run(self._run)

    @override
    async def order(self, verb: Verb, why: str) -> None:
        raise FederationFailed(f"run {self._run} takes no orders from here: no controller of it can be reached")


def _whole_lines(file: Any) -> list[bytes]:
    """The next lines of a file; one that is not whole yet is left for later."""
    lines: list[bytes] = []
    while len(lines) < LINES_AT_ONCE:
        at = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(at)
            break
        lines.append(line)
    return lines
