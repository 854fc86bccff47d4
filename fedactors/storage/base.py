"""Where models live: the interface of every model store's backend."""

from __future__ import annotations

from abc import ABC, abstractmethod

from fedactors.model import GlobalModel, Version


class Storage(ABC):
    """Keeps committed global models by version. Implementations are frozen dataclasses whose fields are their options."""

    @abstractmethod
    async def open(self) -> None:
        """Make ready; called once before anything else.

        Raises:
            StoreError: the place cannot be used; the message names it and the remedy.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything; idempotent."""

    @abstractmethod
    async def put(self, model: GlobalModel) -> None:
        """Keep this version; when it returns, `get` finds it. A version is written once; evicts older ones as configured."""

    @abstractmethod
    async def get(self, version: Version) -> GlobalModel:
        """The model of this version.

        Raises:
            NoSuchModel: it never was, or it was evicted.
        """

    @abstractmethod
    async def versions(self) -> list[Version]:
        """Every version that `get` finds, ascending."""
