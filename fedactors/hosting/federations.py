"""Many federations in one process: each is begun, told of, stopped and ended by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from fedactors import config as configuration
from fedactors.driver.saved_runs import State
from fedactors.errors import ConfigError, FederationFailed
from fedactors.hosting.beginning import earlier, is_over
from fedactors.hosting.files import FEDERATIONS_MAX, Found, find, write
from fedactors.hosting.hosted import Hosted
from fedactors.observe.meter import Metered
from fedactors.plugins import did_you_mean
from fedactors.protocol.federations import Condition, Standing
from fedactors.sharing import Sharing


class Federations:
    """The federations of a directory, in one event loop; entering it begins them, leaving it ends what is left at once.

    What goes wrong with one is its own: it is listed as failed, with one line that says why, and the others go on. Nothing is
    begun again but by an operator or a new process: there, a run that was cut short goes on where it was, and one that is over
    stays listed.
    """

    def __init__(
        self,
        folder: Path,
        runs: Path,
        sharing: Sharing,
        *,
        overrides: Sequence[str] = (),
        log_level: str = "info",
        is_metered: bool = False,
    ) -> None:
        """Prepare it; nothing is begun yet.

        Args:
            folder: holds the configurations, NAME.toml or NAME/federation.toml each.
            runs: where each federation's run is kept, in a directory of its name.
            sharing: threads and memory for all of them.
            overrides: of each configuration, as KEY=VALUE.
            log_level: of each run's own log.
            is_metered: figures are kept, for `metered`.
        """
        self._folder = folder
        self._runs = runs
        self._sharing = sharing
        self._overrides = overrides
        self._log_level = log_level
        self._is_metered = is_metered
        self._hosted: dict[str, Hosted] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False

    async def __aenter__(self) -> Self:
        """Begin every federation of the directory.

        Raises:
            ConfigError: the directory cannot be read, or holds too many.
        """
        for found in find(self._folder):
            self._begin(found)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End at once what is left; another process can go on with it."""
        self._ending = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def standings(self) -> list[Standing]:
        """How all of them stand, in the order of their names; those that are over, too."""
        return [self._hosted[name].standing for name in sorted(self._hosted)]

    @property
    def metered(self) -> list[Metered]:
        """The figures of all of them, in the order of their names."""
        return [self._hosted[name].metered for name in sorted(self._hosted)]

    async def over(self) -> None:
        """Wait until none is at work."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def end(self) -> None:
        """Have every federation end its open round, so that another process can go on with it; `over` says when that is done."""
        self._ending = True
        at_work = [one for one in self._hosted.values() if not one.condition.is_over]
        await asyncio.gather(*(one.interrupt() for one in at_work), return_exceptions=True)  # one that ends just now is no error

    def add(self, name: str, toml: str) -> None:
        """Serve one more federation, or once more one that has failed; its configuration is kept in the directory.

        Raises:
            ConfigError: it is wrong, or there is such a federation.
        """
        if self._ending:
            raise ConfigError("this process ends; add it to the next one")
        known = self._hosted.get(name)
        if known is not None and known.condition is not Condition.FAILED:
            remedy = f"; move {known.run} away to run it anew" if known.condition.is_over else ""
            raise ConfigError(f"there is a federation {name}, and it is {known.condition}{remedy}")
        if known is None and len(self._hosted) >= FEDERATIONS_MAX:
            raise ConfigError(f"{FEDERATIONS_MAX:,} federations are here already; serve this one by another process")
        unbegun = known is not None and earlier(known.run) is None
        file = write(self._folder, name, toml, self._check, replaces=unbegun)
        self._begin(Found(name, file), again=True)

    def _check(self, file: Path) -> None:
        configuration.read(file, self._overrides)

    async def stop(self, name: str, why: str, *, now: bool = False) -> None:
        """End one: after its open round, or now.

        Raises:
            FederationFailed: there is none of that name, or it is over.
        """
        if (hosted := self._hosted.get(name)) is None:
            raise FederationFailed(f"there is no federation {name!r:.80} here{did_you_mean(name, list(self._hosted))}")
        await hosted.stop(why, now=now)

    def _begin(self, found: Found, *, again: bool = False) -> None:
        run = self._runs / found.name
        saved = None if found.problem else earlier(run)
        hosted = self._hosted[found.name] = Hosted(found, run, saved, is_metered=self._is_metered)
        if found.problem:
            hosted.refuse(found.problem)
        elif saved is not None and is_over(saved) and not (again and saved.state is State.FAILED):
            hosted.was(saved)
        else:
            task = hosted.begin(self._sharing, self._overrides, self._log_level)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
