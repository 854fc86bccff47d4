"""A model store that is a shelf, a catalogue and a thread: all that a backend of ours adds is the shelf."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar, ParamSpec, TypeVar

from typing_extensions import override

from fedactors.model import GlobalModel, LearnerId, Version
from fedactors.storage.base import ANYWHERE, Home, Storage
from fedactors.storage.catalogue import Limits
from fedactors.storage.entries import Entry, Facts, LearnerModel, Model, Owner, RuleState, Statistics
from fedactors.storage.library import Library
from fedactors.storage.shelf import Shelf

P = ParamSpec("P")
T = TypeVar("T")


class Desk:
    """Where an open store works: its library, and the one thread that asks it. The thread is what keeps calls apart.

    A call that is cancelled goes on to its end; its result is dropped. What waits for the thread is what callers wait for.
    """

    def __init__(self) -> None:
        self._library: Library | None = None
        self._thread: ThreadPoolExecutor | None = None

    @property
    def library(self) -> Library:
        """Of the open store."""
        assert self._library is not None, "a store is opened before it is used"
        return self._library

    async def open(self, make: Callable[[], Library], *, threaded: bool) -> None:
        """Begin; nothing is left behind where `make` fails."""
        assert self._library is None, "a store is opened once"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store") if threaded else None
        try:
            self._library = await self.run(make)
        except BaseException:
            self._end_thread()
            raise

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What the library answers."""
        if self._thread is None:
            return work(*args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    async def close(self) -> None:
        """End; the calls that wait for the thread are done first."""
        library, self._library = self._library, None
        if library is None:
            return
        library.shelf.interrupt()
        try:
            await self.run(library.shelf.close)
        finally:
            self._end_thread()

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None


@dataclass(frozen=True, slots=True)
class ShelvedStorage(Storage):
    """Does what every store does; a backend says where.

    Attributes:
        lineage_length: newest versions, and newest models of each learner, that are kept; 0: all.
        max_bytes: of all models together; what was put first makes room, but never the newest version. 0: no limit.
    """

    threaded: ClassVar[bool] = True
    """False where nothing ever blocks."""

    lineage_length: int = 0
    max_bytes: int = 0
    _desk: Desk = field(default_factory=Desk, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        Limits(self.lineage_length, self.max_bytes)

    @abstractmethod
    def shelf(self, home: Home) -> tuple[Shelf, str]:
        """The open place, and what it is called in messages. Blocks.

        Raises:
            StoreError: as `Storage.open`.
        """

    @override
    async def open(self, home: Home = ANYWHERE) -> None:
        def make() -> Library:
            shelf, place = self.shelf(home)
            try:
                return Library(shelf, Limits(self.lineage_length, self.max_bytes), place)
            except BaseException:
                shelf.close()
                raise

        await self._desk.open(make, threaded=self.threaded and home.threaded)

    @override
    async def close(self) -> None:
        await self._desk.close()

    @override
    async def put(self, model: Model) -> None:
        await self._desk.run(self._desk.library.put, model)

    @override
    async def get(self, version: Version) -> GlobalModel:
        return await self._desk.run(self._desk.library.get, version)

    @override
    async def versions(self) -> list[Version]:
        return await self._desk.run(self._desk.library.versions)

    @override
    async def lineage(self, owner: Owner) -> list[Entry]:
        return await self._desk.run(self._desk.library.lineage, owner)

    @override
    async def describe(self, version: Version, facts: Facts) -> None:
        await self._desk.run(self._desk.library.describe, version, facts)

    @override
    async def select(self, learners: Iterable[LearnerId], newest: int) -> AsyncIterator[LearnerModel]:
        library = self._desk.library
        for key in await self._desk.run(lambda: list(library.newest_of(learners, newest))):
            model = await self._desk.run(library.learner_model, key)
            if model is not None:
                yield model

    @override
    async def rule_states(self, version: Version) -> list[RuleState]:
        return await self._desk.run(self._desk.library.rule_states, version)

    @override
    async def erase(self, owners: Iterable[Owner]) -> None:
        await self._desk.run(self._desk.library.erase, list(owners))

    @override
    async def expunge(self) -> None:
        await self._desk.run(self._desk.library.expunge)

    @override
    async def statistics(self) -> Statistics:
        return await self._desk.run(self._desk.library.statistics)
