"""Where a federation's gateway listens, for those who may ask before it is known."""

from __future__ import annotations

from fedactors.runtime import Deferred
from fedactors.transport import Address


class Whereabouts:
    """The addresses of the gateway that listened last; none until one has.

    Attributes:
        addresses: in the order of the places to listen at.
    """

    def __init__(self) -> None:
        self.addresses: tuple[Address, ...] = ()
        self._failure: Exception | None = None
        self._askers: list[Deferred[tuple[Address, ...]]] = []

    def tell(self, asker: Deferred[tuple[Address, ...]]) -> None:
        """Answer with the addresses, or why there are none, as soon as either is known."""
        if self.addresses:
            asker.resolve(self.addresses)
        elif self._failure is not None:
            asker.reject(self._failure)  # the asker's trouble; raised it would be a failure of the actor that was asked
        else:
            self._askers.append(asker)

    def known(self, addresses: tuple[Address, ...]) -> None:
        """A gateway listens there."""
        self.addresses = addresses
        for asker in self._taken():
            asker.resolve(addresses)

    def failed(self, why: Exception) -> None:
        """A gateway cannot listen."""
        self._failure = why
        for asker in self._taken():
            asker.reject(why)

    def _taken(self) -> list[Deferred[tuple[Address, ...]]]:
        askers, self._askers = self._askers, []
        return askers
