"""Where the bytes of models lie: what a backend has to do, and nothing more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from fedactors.model import Buffer
from fedactors.storage.entries import Entry


class Shelf(ABC):
    """A place that holds models, open and at work. It is called in one thread, one call at a time, and may block it.

    What fails raises StoreError, which names the place and the remedy, and has changed nothing.
    """

    checks: ClassVar[bool] = True
    """False where bytes cannot be damaged: entries then have no digest."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """Everything that is there, in the order of `serial`; called once, first."""

    @abstractmethod
    def write(self, entry: Entry, buffer: Buffer, going: Sequence[Entry]) -> None:
        """Hold a model and let others go, in one step that has happened or has not, wherever the process dies.

        Args:
            entry: of the model.
            buffer: uint8[entry.nbytes]; the caller's again when this returns.
            going: what makes room. Buffers that `read` gave of it stay as they are.
        """

    @abstractmethod
    def read(self, entry: Entry) -> Buffer:
        """The model: uint8[entry.nbytes], never written to again. Damage is found by the entry's digest."""

    @abstractmethod
    def note(self, entry: Entry) -> None:
        """Keep the facts of an entry that is there."""

    @abstractmethod
    def remove(self, entries: Sequence[Entry]) -> None:
        """Let go of these, and of the bytes that they lay on."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the place."""

    def interrupt(self) -> None:  # noqa: B027  # most shelves never wait
        """Give up waiting, for the store is being closed; called from another thread."""
