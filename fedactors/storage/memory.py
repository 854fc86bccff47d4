"""`memory://`: models in this process, gone when it ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from typing_extensions import override

from fedactors.errors import ConfigError, NoSuchModel, StoreError
from fedactors.model import GlobalModel, Version
from fedactors.storage.base import Storage


@dataclass(frozen=True, slots=True)
class MemoryStorage(Storage):
    """Keeps the newest versions as they are, without a copy.

    Attributes:
        lineage_length: versions kept, >= 0; the oldest is evicted when another comes. 0 evicts nothing: memory then grows by one
            model with each commit.
    """

    lineage_length: int = 4
    _models: dict[Version, GlobalModel] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.lineage_length < 0:
            raise ConfigError(
                f"storage 'memory' has lineage_length={self.lineage_length}; give the number of versions to keep, or 0 for all"
            )

    @override
    async def open(self) -> None:
        pass

    @override
    async def close(self) -> None:
        self._models.clear()

    @override
    async def put(self, model: GlobalModel) -> None:
        newest = max(self._models, default=-1)
        if model.version <= newest:
            raise StoreError(
                f"version {model.version} cannot be kept: version {newest} is, and versions are written once, ascending"
            )
        self._models[model.version] = model
        if self.lineage_length and len(self._models) > self.lineage_length:
            del self._models[min(self._models)]

    @override
    async def get(self, version: Version) -> GlobalModel:
        try:
            return self._models[version]
        except KeyError:
            raise NoSuchModel(f"no model of version {version} in memory; {self._kept()}") from None

    @override
    async def versions(self) -> list[Version]:
        return sorted(self._models)

    def _kept(self) -> str:
        if not self._models:
            return "nothing is kept yet"
        limit = f" (lineage_length={self.lineage_length})" if self.lineage_length else ""
        return f"kept are versions {', '.join(map(str, sorted(self._models)[-8:]))}{limit}"
