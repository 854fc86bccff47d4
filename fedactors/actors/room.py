"""Memory for uploads, as the aggregator of one federation sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from typing_extensions import override


class Room(ABC):
    """How much memory there is to receive models into.

    Attributes:
        bytes_max: of one model; None: that is bounded elsewhere.
    """

    bytes_max: int | None = None

    @abstractmethod
    def take(self, nbytes: int) -> bool:
        """Take so much; where False, it is not there now, and its taker stands in line until it takes or withdraws."""

    @abstractmethod
    def give(self, nbytes: int) -> None:
        """Give back so much of what was taken."""

    @abstractmethod
    def withdraw(self) -> None:
        """Stand in no line any more. Idempotent."""

    @abstractmethod
    def clear(self) -> None:
        """Give back everything, and stand in no line."""

    @abstractmethod
    def call(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when what was not there may be; it must not take in the call itself."""


class Boundless(Room):
    """As much as the operating system gives: of a federation that is alone, limits.uploads_max bounds it."""

    @override
    def take(self, nbytes: int) -> bool:
        return True

    @override
    def give(self, nbytes: int) -> None:
        pass

    @override
    def withdraw(self) -> None:
        pass

    @override
    def clear(self) -> None:
        pass

    @override
    def call(self, wake: Callable[[], None]) -> None:
        pass


BOUNDLESS = Boundless()
