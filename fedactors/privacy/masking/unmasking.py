"""The masks that are still in a sum, from the shares that survivors revealed. Pure, and work for a thread: it can take a while.

What is left in the sum of the survivors' words is, of each survivor, its own mask; and for each survivor and each neighbour that
shared its secrets and did not deliver, the mask between the two, which only the survivor has added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fedactors.errors import ModelError, RemoteProtocolError
from fedactors.model import Array, LearnerId
from fedactors.privacy.masking.fixed_point import FixedPoint
from fedactors.privacy.masking.keys import KeyPair, own_key, pair_key
from fedactors.privacy.masking.masks import Mask, apply
from fedactors.privacy.masking.pieces import ShareOut, in_turn
from fedactors.privacy.masking.shamir import join

Shares: TypeAlias = Mapping[int, bytes]
"""By their points."""


@dataclass(frozen=True, slots=True)
class Unmasking:
    """What it takes to read the sum of one round's survivors.

    Attributes:
        fixed_point: how their differences are written.
        survivors: whose words are in the sum.
        public: the public mask keys of the survivors and of their neighbours that shared secrets.
        neighbours: of each of these, those among them and itself.
        shares: enough of each: of a survivor's seed, of another one's private mask key.
    """

    fixed_point: FixedPoint
    survivors: frozenset[LearnerId]
    public: Mapping[LearnerId, bytes]
    neighbours: Mapping[LearnerId, frozenset[LearnerId]]
    shares: Mapping[LearnerId, Shares]

    def open(self, total: Array, share_out: ShareOut = in_turn) -> None:
        """Take the masks that are left out of the survivors' sum, in place; it holds differences alone then.

        Raises:
            ModelError: the shares of a secret do not fit each other.
        """
        apply(total, self._masks(), share_out)

    def _masks(self) -> list[Mask]:
        return [mask for owner in sorted(self.shares) for mask in self._left_by(owner)]

    def _left_by(self, owner: LearnerId) -> Iterator[Mask]:
        secret = join(self.shares[owner])
        if owner in self.survivors:
            yield Mask(own_key(secret), -1)
            return
        pair = KeyPair.of(secret)
        if pair.public != self.public[owner]:
            raise ModelError(f"the shares of {owner}'s key do not fit its public key: one of them was changed")
        for survivor in sorted(self.neighbours[owner] & self.survivors):
            yield Mask(self._agreed(pair, survivor), -1 if survivor < owner else 1)

    def _agreed(self, pair: KeyPair, survivor: LearnerId) -> bytes:
        try:
            return pair_key(pair, self.public[survivor])
        except RemoteProtocolError as error:
            raise ModelError(f"{survivor} gave no public key: {error}") from error
