"""What a store has: its entries in memory, and which of them make room for others. Pure; where the bytes lie is no matter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fedactors.errors import ConfigError, StoreError
from fedactors.storage.entries import Entry, Key, Owner, is_rule


@dataclass(frozen=True, slots=True)
class Limits:
    """What a store keeps at most.

    Attributes:
        lineage_length: newest models of each owner, >= 0; 0: all.
        max_bytes: of all models, >= 0; 0: as many as there are.
    """

    lineage_length: int = 0
    max_bytes: int = 0

    def __post_init__(self) -> None:
        if self.lineage_length < 0:
            raise ConfigError(
                f"lineage_length={self.lineage_length}; "
                "give the number of versions, and of each learner's models, to keep, or 0 for all"
            )
        if self.max_bytes < 0:
            raise ConfigError(f"max_bytes={self.max_bytes}; give the number of bytes to keep, or 0 for no limit")

    def __str__(self) -> str:
        given = {"lineage_length": self.lineage_length, "max_bytes": self.max_bytes}
        return ", ".join(f"{name}={value}" for name, value in given.items() if value)


class Catalogue:
    """Entries by key, in the order in which they were put.

    Attributes:
        nbytes: of all of them.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.nbytes = 0
        self._by_key: dict[Key, Entry] = {}
        self._lineages: dict[Owner, dict[int, Entry]] = {}
        for entry in entries:
            self.add(entry)

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._by_key.values())

    def find(self, key: Key) -> Entry | None:
        """The entry of this key."""
        return self._by_key.get(key)

    def lineage(self, owner: Owner) -> list[Entry]:
        """What there is of an owner, oldest first."""
        return list(self._lineages.get(owner, {}).values())

    def owners(self) -> list[Owner]:
        """Whoever has a lineage."""
        return list(self._lineages)

    def newest(self, owner: Owner) -> Entry | None:
        """The last entry of an owner."""
        lineage = self._lineages.get(owner)
        return None if lineage is None else lineage[next(reversed(lineage))]

    def add(self, entry: Entry) -> None:
        """Take an entry, which is newer than all others."""
        self._by_key[entry.key] = entry
        self._lineages.setdefault(entry.key.owner, {})[entry.number] = entry
        self.nbytes += entry.nbytes

    def replace(self, entry: Entry) -> None:
        """Know more of an entry; its place stays the same."""
        self._by_key[entry.key] = self._lineages[entry.key.owner][entry.number] = entry

    def remove(self, entry: Entry) -> None:
        """Forget an entry."""
        del self._by_key[entry.key]
        lineage = self._lineages[entry.key.owner]
        del lineage[entry.number]
        if not lineage:
            del self._lineages[entry.key.owner]
        self.nbytes -= entry.nbytes

    def making_room(self, key: Key, nbytes: int, limits: Limits) -> list[Entry]:
        """What has to go when a model comes; the catalogue is not changed.

        The oldest of the same owner go beyond `lineage_length`; then whatever was put first, until all is within `max_bytes`.
        The newest version stays, for training resumes from it, and so does what a rule keeps with it: that goes when the next
        version comes for which something else is kept.

        Raises:
            StoreError: the model would not fit if everything else had gone.
        """
        own = self._lineages.get(key.owner, {})
        beyond = len(own) + 1 - limits.lineage_length if limits.lineage_length and not is_rule(key.owner) else 0
        going = {entry.key: entry for entry, _ in zip(own.values(), range(beyond), strict=False)}
        if key.owner is None:
            going |= {entry.key: entry for entry in self._replaced()}
        if limits.max_bytes:
            going |= self._over(key, nbytes - sum(entry.nbytes for entry in going.values()), going, limits.max_bytes)
        return list(going.values())

    def _replaced(self) -> Iterator[Entry]:
        """What a rule has kept anew since: all but the newest of each of its owners."""
        for owner, lineage in self._lineages.items():
            if is_rule(owner) and len(lineage) > 1:
                yield from list(lineage.values())[:-1]

    def _over(self, key: Key, coming_bytes: int, going: dict[Key, Entry], max_bytes: int) -> dict[Key, Entry]:
        more: dict[Key, Entry] = {}
        left = self.nbytes + coming_bytes
        resumed_from = None if key.owner is None else self.newest(None)
        for entry in self._by_key.values():
            if left <= max_bytes:
                break
            if entry.key not in going and entry is not resumed_from and not is_rule(entry.key.owner):
                more[entry.key] = entry
                left -= entry.nbytes
        if left > max_bytes:
            raise StoreError(
                f"{key} cannot be kept: {left:,} bytes are more than max_bytes={max_bytes}, "
                "even if everything else is evicted but the newest version and what the rule keeps; raise the limit"
            )
        return more
