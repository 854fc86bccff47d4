"""Where actors write what must not be forgotten."""

from __future__ import annotations

from abc import ABC, abstractmethod

from typing_extensions import override

from fedactors.journal.records import Record
from fedactors.journal.story import Story


class Journal(ABC):
    """Takes records, in order. It stands outside the actors, outlives their restarts, and every one of them may write.

    Attributes:
        keeps: what is written outlives the process. Where it does not, only news need be written.
        keeps_updates: so do the weights of updates that count, in the model store.
        story: what was written comes to.
    """

    keeps: bool = False
    keeps_updates: bool = False

    def __init__(self, story: Story | None = None) -> None:
        self.story = Story() if story is None else story

    def write(self, record: Record) -> None:
        """Add one; when it returns, the record is there.

        Raises:
            StoreError: it cannot be kept; the message names the place and the remedy.
        """
        self._keep(record)
        self.story.take(record)

    @abstractmethod
    def _keep(self, record: Record) -> None:
        """Put it where it lasts."""


class NoJournal(Journal):
    """Keeps nothing: of a federation whose process dies, nothing can be resumed."""

    @override
    def _keep(self, record: Record) -> None:
        pass
