"""`memory://`: models in this process, gone when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.model import Buffer
from fedactors.storage.base import Home
from fedactors.storage.entries import Entry, is_rule
from fedactors.storage.shelf import Shelf
from fedactors.storage.shelved import ShelvedStorage


@dataclass(frozen=True, slots=True)
class MemoryStorage(ShelvedStorage):
    """Keeps versions, and what rules keep, as they are, without a copy, and copies of learners' models.

    Attributes:
        lineage_length: newest versions, and newest models of each learner, that are kept, >= 0. 0 evicts nothing: memory then
            grows by one model with each commit.
        max_bytes: of all models together, >= 0; what was put first makes room, but never the newest version. 0: no limit.
    """

    threaded: ClassVar[bool] = False

    lineage_length: int = 4

    @override
    def shelf(self, home: Home) -> tuple[Shelf, str]:
        return MemoryShelf(), "memory"


class MemoryShelf(Shelf):
    """Buffers by serial."""

    checks: ClassVar[bool] = False

    def __init__(self) -> None:
        self._buffers: dict[int, Buffer] = {}

    @override
    def entries(self) -> list[Entry]:
        return []

    @override
    def write(self, entry: Entry, buffer: Buffer, going: Sequence[Entry]) -> None:
        if entry.key.owner is not None and not is_rule(entry.key.owner):
            buffer = buffer.copy()
            buffer.flags.writeable = False
        self._buffers[entry.serial] = buffer
        self.remove(going)

    @override
    def read(self, entry: Entry) -> Buffer:
        return self._buffers[entry.serial]

    @override
    def note(self, entry: Entry) -> None:
        pass

    @override
    def remove(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            del self._buffers[entry.serial]

    @override
    def close(self) -> None:
        self._buffers.clear()
