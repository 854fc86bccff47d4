"""A model store that fails once: the first operation in one run, the second in the next, until a run does not come so far.

for operation in count(1):
    store = FailingStorage(MemoryStorage(), operation)
    ... a whole federation at this store ends as it ought to ...
    if store.operations < operation:
        break
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from typing_extensions import override

from fedactors.errors import StoreError
from fedactors.model import GlobalModel, LearnerId, Version
from fedactors.storage import ANYWHERE, Entry, Facts, Home, LearnerModel, Statistics, Storage
from fedactors.storage.entries import Model, Owner, RuleState


class FailingStorage(Storage):
    """Hands everything on to another store, but for one operation, which raises StoreError.

    Attributes:
        operations: that were asked for so far; opening is one, closing is none.
    """

    def __init__(self, inner: Storage, fail_at: int) -> None:
        """Wrap a store.

        Args:
            inner: the store that does the work.
            fail_at: which operation fails, from 1 on; it does not reach the store.
        """
        self.operations = 0
        self._inner = inner
        self._fail_at = fail_at

    def _count(self, name: str) -> None:
        self.operations += 1
        if self.operations == self._fail_at:
            raise StoreError(f"operation {self._fail_at}, {name}, fails, for that is what this store is for")

    @override
    async def open(self, home: Home = ANYWHERE) -> None:
        self._count("open")
        await self._inner.open(home)

    @override
    async def close(self) -> None:
        await self._inner.close()

    @override
    async def put(self, model: Model) -> None:
        self._count("put")
        await self._inner.put(model)

    @override
    async def get(self, version: Version) -> GlobalModel:
        self._count("get")
        return await self._inner.get(version)

    @override
    async def versions(self) -> list[Version]:
        self._count("versions")
        return await self._inner.versions()

    @override
    async def lineage(self, owner: Owner) -> list[Entry]:
        self._count("lineage")
        return await self._inner.lineage(owner)

    @override
    async def describe(self, version: Version, facts: Facts) -> None:
        self._count("describe")
        await self._inner.describe(version, facts)

    @override
    async def select(self, learners: Iterable[LearnerId], newest: int) -> AsyncIterator[LearnerModel]:
        self._count("select")
        async for model in self._inner.select(learners, newest):
            yield model

    @override
    async def rule_states(self, version: Version) -> list[RuleState]:
        self._count("rule_states")
        return await self._inner.rule_states(version)

    @override
    async def erase(self, owners: Iterable[Owner]) -> None:
        self._count("erase")
        await self._inner.erase(owners)

    @override
    async def expunge(self) -> None:
        self._count("expunge")
        await self._inner.expunge()

    @override
    async def statistics(self) -> Statistics:
        self._count("statistics")
        return await self._inner.statistics()
