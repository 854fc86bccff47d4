"""Where actors write what must not be forgotten."""

from __future__ import annotations

from abc import ABC, abstractmethod

from typing_extensions import override

from fedactors.journal.records import Record


class Journal(ABC):
    """Takes records, in order. It stands outside the actors, outlives their restarts, and every one of them may write.

    Attributes:
        keeps: what is written is kept: it is worth while to keep the weights of updates that count.
    """

    keeps: bool = True

    @abstractmethod
    def write(self, record: Record) -> None:
        """Add one; when it returns, the record is there whatever happens to this process.

        Raises:
            StoreError: it cannot be kept; the message names the place and the remedy.
        """


class NoJournal(Journal):
    """Keeps nothing: of a federation whose process dies, nothing can be resumed."""

    keeps = False

    @override
    def write(self, record: Record) -> None:
        pass
