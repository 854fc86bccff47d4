"""Versions of the global model in Ray's object store: each is fetched and put there once, whoever asks first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from fedactors.model import GlobalModel, Version

Put: TypeAlias = Callable[[GlobalModel], Awaitable[Any]]
"""Puts a version into the object store and returns its reference."""


@dataclass(slots=True)
class _Shelved:
    reference: Any
    users: int = 0


class Versions:
    """The versions that somebody needs, and the newest.

    What is in the store is freed with its last reference: a host that reads a version keeps it there by itself.

    Attributes:
        puts: how many were put so far.
    """

    def __init__(self, put: Put) -> None:
        self.puts = 0
        self._put = put
        self._shelved: dict[Version, _Shelved] = {}
        self._fetching = asyncio.Lock()

    @asynccontextmanager
    async def held(self, version: Version, fetch: Callable[[Version], Awaitable[GlobalModel]]) -> AsyncIterator[Any]:
        """The reference of a version, which stays in the store at least as long.

        Args:
            version: which.
            fetch: how its weights are come by if they are not there. Should it fail, whoever waits next tries its own.
        """
        async with self._fetching:
            if version not in self._shelved:
                self._shelved[version] = _Shelved(await self._put(await fetch(version)))
                self.puts += 1
            shelved = self._shelved[version]
            shelved.users += 1
        try:
            yield shelved.reference
        finally:
            shelved.users -= 1
            self._tidy()

    def __len__(self) -> int:
        """How many are held."""
        return len(self._shelved)

    def _tidy(self) -> None:
        newest = max(self._shelved)
        for version in [one for one, shelved in self._shelved.items() if not shelved.users and one != newest]:
            del self._shelved[version]
