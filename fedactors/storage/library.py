"""A catalogue over a shelf: everything that a model store decides."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from fedactors.errors import NoSuchModel, StoreError
from fedactors.model import GlobalModel, LearnerId, Version
from fedactors.storage.catalogue import Catalogue, Limits
from fedactors.storage.entries import (
    RULE,
    Entry,
    Facts,
    Key,
    LearnerModel,
    Model,
    Owner,
    RuleState,
    Statistics,
    base_of,
    digest,
    is_rule,
    key_of,
)
from fedactors.storage.shelf import Shelf

FACTS_BYTES_MAX = 16 * 1024**2
"""Of what is known of one version, as JSON."""


class Library:
    """What there is and where, for as long as a store is open. Blocks, and is called in one thread at a time.

    Attributes:
        shelf: where the bytes lie.
    """

    def __init__(self, shelf: Shelf, limits: Limits, place: str, clock: Callable[[], float] = time.time) -> None:
        self.shelf = shelf
        self._limits = limits
        self._place = place
        self._clock = clock
        self._catalogue = Catalogue(shelf.entries())
        self._serial = max((entry.serial for entry in self._catalogue), default=-1)
        self._puts = self._gets = self._evicted = 0

    def put(self, model: Model) -> None:
        """As `Storage.put`."""
        key = key_of(model, self._serial + 1)
        self._refuse_rewriting(key)
        going = self._catalogue.making_room(key, model.layout.nbytes, self._limits)
        known_by = digest(model.buffer) if self.shelf.checks else ""
        entry = Entry(key, base_of(model), model.layout, known_by, self._clock(), self._serial + 1)
        self._serial += 1  # whatever becomes of it: what a torn write left must not be taken for another model's
        self.shelf.write(entry, model.buffer, going)
        for gone in going:
            self._catalogue.remove(gone)
        self._catalogue.add(entry)
        self._puts += 1
        self._evicted += len(going)

    def _refuse_rewriting(self, key: Key) -> None:
        newest = self._catalogue.newest(key.owner)
        if newest is not None and key.number <= newest.number:
            raise StoreError(f"{key} cannot be kept: {newest.key} is, and models are written once, ascending")

    def get(self, version: Version) -> GlobalModel:
        """As `Storage.get`."""
        entry = self._version(version)
        self._gets += 1
        return GlobalModel(version, entry.layout, self.shelf.read(entry))

    def versions(self) -> list[Version]:
        """As `Storage.versions`."""
        return [entry.number for entry in self._catalogue.lineage(None)]

    def lineage(self, owner: Owner) -> list[Entry]:
        """As `Storage.lineage`."""
        return self._catalogue.lineage(owner)

    def describe(self, version: Version, facts: Facts) -> None:
        """As `Storage.describe`."""
        entry = self._version(version)
        written = json.dumps({**entry.facts, **facts})
        if len(written) > FACTS_BYTES_MAX:
            raise StoreError(f"what is known of {entry.key} takes {len(written):,} bytes; at most {FACTS_BYTES_MAX:,} are kept")
        entry = replace(entry, facts=json.loads(written))
        self.shelf.note(entry)
        self._catalogue.replace(entry)

    def newest_of(self, learners: Iterable[LearnerId], newest: int) -> Iterator[Key]:
        """The keys that `Storage.select` goes through."""
        assert newest > 0
        for learner in learners:
            yield from (entry.key for entry in self._catalogue.lineage(learner)[-newest:])

    def learner_model(self, key: Key) -> LearnerModel | None:
        """A learner's model; None where it is gone."""
        entry = self._catalogue.find(key)
        if entry is None:
            return None
        assert key.owner is not None
        assert entry.base is not None
        self._gets += 1
        return LearnerModel(key.owner, key.number, entry.base, entry.layout, self.shelf.read(entry))

    def rule_states(self, version: Version) -> list[RuleState]:
        """As `Storage.rule_states`."""
        owners = [owner for owner in self._catalogue.owners() if is_rule(owner)]
        self._remove([entry for owner in owners for entry in self._catalogue.lineage(owner) if _version_of(entry) > version])
        newest = [entry for owner in owners if (entry := self._catalogue.newest(owner)) is not None]
        self._gets += len(newest)
        return [self._rule_state(entry) for entry in newest]

    def _rule_state(self, entry: Entry) -> RuleState:
        assert entry.key.owner is not None
        learner = entry.key.owner.removeprefix(RULE) or None
        return RuleState(learner, _version_of(entry), entry.layout, self.shelf.read(entry))

    def erase(self, owners: Iterable[Owner]) -> None:
        """As `Storage.erase`."""
        self._remove([entry for owner in owners for entry in self._catalogue.lineage(owner)])

    def _remove(self, going: list[Entry]) -> None:
        self.shelf.remove(going)
        for entry in going:
            self._catalogue.remove(entry)

    def expunge(self) -> None:
        """As `Storage.expunge`."""
        self.erase(self._catalogue.owners())

    def statistics(self) -> Statistics:
        """As `Storage.statistics`."""
        versions = len(self._catalogue.lineage(None))
        lineages = [self._catalogue.lineage(owner) for owner in self._catalogue.owners() if owner and not is_rule(owner)]
        models = sum(map(len, lineages))
        return Statistics(versions, len(lineages), models, self._catalogue.nbytes, self._puts, self._gets, self._evicted)

    def _version(self, version: Version) -> Entry:
        entry = self._catalogue.find(Key(None, version))
        if entry is None:
            raise NoSuchModel(f"no model of version {version} in {self._place}; {self._kept()}")
        return entry

    def _kept(self) -> str:
        versions = self.versions()
        if not versions:
            return "nothing is kept yet"
        limits = f" ({self._limits})" if str(self._limits) else ""
        return f"kept are versions {', '.join(map(str, versions[-8:]))}{limits}"


def _version_of(entry: Entry) -> Version:
    assert entry.base is not None, "what a rule keeps belongs to a version"
    return entry.base
