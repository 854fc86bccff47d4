"""Where models live: the interface of every model store's backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

from fedactors.model import GlobalModel, LearnerId, Version
from fedactors.storage.entries import Entry, Facts, LearnerModel, Model, Owner, RuleState, Statistics


@dataclass(frozen=True, slots=True)
class Home:
    """What a store is told of the federation that it works for.

    Attributes:
        federation: its name; a place that several federations share keeps them apart by it.
        base_dir: where relative paths start.
        threaded: work in a thread; False in virtual time, which has none.
    """

    federation: str = "federation"
    base_dir: Path = Path()
    threaded: bool = True


ANYWHERE = Home()


class Storage(ABC):
    """Keeps the versions of the global model, and the lineage of each learner's models.

    Implementations are frozen dataclasses whose fields are their options. `ShelvedStorage` has everything but the place: most
    backends are a `Shelf` in it. A model is written once. Where a store's limits are reached, the models that were put first make
    room, but never the newest version nor what a rule keeps with it, and never for a model that could not be put.
    """

    @abstractmethod
    async def open(self, home: Home = ANYWHERE) -> None:
        """Make ready; called once before anything else.

        Raises:
            StoreError: the place cannot be used; the message names it and the remedy.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything; idempotent, and nothing where the store was never opened."""

    @abstractmethod
    async def put(self, model: Model) -> None:
        """Keep a model; when it returns, the model is there whole, and stays so whatever happens to this process.

        Cancelled or failed, the model is there whole or not at all.

        Raises:
            StoreError: its number is not greater than the newest of its owner, or it cannot be kept; nothing has changed.
        """

    @abstractmethod
    async def get(self, version: Version) -> GlobalModel:
        """The global model of this version.

        Raises:
            NoSuchModel: it never was, or it was evicted.
            StoreError: it cannot be read, or is damaged.
        """

    @abstractmethod
    async def versions(self) -> list[Version]:
        """Every version that `get` finds, ascending."""

    @abstractmethod
    async def lineage(self, owner: Owner) -> list[Entry]:
        """What is kept of a learner's models, or of the global model (None): oldest first; empty where there is nothing."""

    @abstractmethod
    async def describe(self, version: Version, facts: Facts) -> None:
        """Add what is known of a version; a fact that is there already is replaced.

        Raises:
            NoSuchModel: there is no such version.
            StoreError: it cannot be written.
        """

    @abstractmethod
    def select(self, learners: Iterable[LearnerId], newest: int) -> AsyncIterator[LearnerModel]:
        """The newest models of each learner, oldest first; learner by learner, and one model in memory at a time.

        A learner without a lineage is passed over, and so is a model that was evicted meanwhile.

        Raises:
            StoreError: one cannot be read, or is damaged.
        """

    @abstractmethod
    async def rule_states(self, version: Version) -> list[RuleState]:
        """What was put for a rule until this version, which is the newest: the newest of each learner's, and what else there is.

        What was put for a later version, which never came to be, is forgotten.

        Raises:
            StoreError: one cannot be read, or is damaged.
        """

    @abstractmethod
    async def erase(self, owners: Iterable[Owner]) -> None:
        """Forget the lineages of these learners, and what they lay on; versions that they contributed to stay."""

    @abstractmethod
    async def expunge(self) -> None:
        """Forget everything."""

    @abstractmethod
    async def statistics(self) -> Statistics:
        """How much there is."""
