"""One learner's part in one masked round. Pure: messages in, messages out; randomness is handed in.

    state        says, or does                   on
    ─────        ─────────────                   ──
    (made)       PublicKeys                      begin
    KEYS         Sealed: its shares              Roster
    SHARES       nothing; it can mask now        Sealed
    READY        masks its update                masks
    DELIVERED    Revealed                        Unmask
    OVER         the same Revealed again         the same Unmask again, and no other

A survivor reveals one share of each neighbour: of its own mask's seed, if the neighbour delivered, else of its private mask key.
With both, the neighbour's update could be read; so there is one answer in a round, whatever else the controller asks.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable, Mapping
from typing import assert_never

from fedactors.errors import RemoteProtocolError
from fedactors.model import LearnerId
from fedactors.privacy.masking.fixed_point import FixedPoint
from fedactors.privacy.masking.keys import KEY_BYTES, KeyPair, own_key, pair_key, seal, seal_key, unseal
from fedactors.privacy.masking.masks import Mask
from fedactors.privacy.masking.messages import FromMember, PublicKeys, Revealed, Roster, Sealed, ToMember, Unmask
from fedactors.privacy.masking.shamir import SECRET_BYTES, SHARE_BYTES, split
from fedactors.privacy.masking.terms import Terms


class State(enum.Enum):
    """How far a member has come; the table stands at the top of this module."""

    KEYS = enum.auto()
    SHARES = enum.auto()
    READY = enum.auto()
    DELIVERED = enum.auto()
    OVER = enum.auto()


class Member:
    """A learner in one round; another round takes another one, with new keys.

    Attributes:
        state: how far it has come.
    """

    def __init__(self, learner: LearnerId, terms: Terms, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        """Draw its secrets.

        Args:
            learner: its identity.
            terms: those of the federation.
            random: gives so many bytes of a cryptographic generator.
        """
        self.state = State.KEYS
        self._me = learner
        self._terms = terms
        self._random = random
        self._seal, self._mask = KeyPair.of(random(KEY_BYTES)), KeyPair.of(random(KEY_BYTES))
        self._seed = random(SECRET_BYTES)
        self._roster = Roster(0, {})
        self._seal_keys: dict[LearnerId, bytes] = {}
        self._held: dict[LearnerId, tuple[bytes, bytes]] = {}
        self._heard: dict[type[ToMember], ToMember] = {}
        self._said: FromMember = PublicKeys(self._seal.public, self._mask.public)

    @property
    def said(self) -> FromMember:
        """What it said last; to be said again after a lost connection."""
        return self._said

    @property
    def can_mask(self) -> bool:
        """Whether it is known with whom; and no update was masked yet, for two under the same masks tell their difference."""
        return self.state is State.READY

    @property
    def needed(self) -> int:
        """Of the holders of its secrets' shares, how many must stay."""
        return self._terms.needed(self._roster.learners)

    @property
    def fixed_point(self) -> FixedPoint:
        """How the update is written, once the roster is here."""
        return self._terms.fixed_point(self._roster.learners)

    def handle(self, message: ToMember) -> FromMember | None:
        """What to say to a message; None: nothing. One that is said again is answered as before.

        Raises:
            RemoteProtocolError: it must not be answered; nothing is revealed, and the member is of no use any more.
        """
        if (before := self._heard.get(type(message))) is not None:
            if message != before:
                raise RemoteProtocolError(f"masking's {type(message).__name__} was told twice, and differently")
            return self._said if isinstance(message, Unmask) and self.state is State.OVER else None
        answer = self._answer(message)
        self._heard[type(message)] = message
        self._said = answer or self._said
        return answer

    def masks(self) -> list[Mask]:
        """What is added to the update before it leaves: one mask of its own, and one with each neighbour."""
        assert self.can_mask, f"{self._me} is at {self.state}"
        self.state = State.DELIVERED
        return [Mask(own_key(self._seed), 1), *(self._pair(peer) for peer in sorted(self._held) if peer != self._me)]

    def _pair(self, peer: LearnerId) -> Mask:
        return Mask(pair_key(self._mask, self._roster.keys[peer].mask), 1 if self._me < peer else -1)

    def _answer(self, message: ToMember) -> FromMember | None:
        match message:
            case Roster():
                self._must_be(State.KEYS, message)
                return self._share(message)
            case Sealed(shares):
                self._must_be(State.SHARES, message)
                self._hold(shares)
                return None
            case Unmask(survivors):
                self._must_be(State.DELIVERED, message)
                return self._reveal(survivors)
            case unknown:
                assert_never(unknown)

    def _must_be(self, state: State, message: ToMember) -> None:
        if self.state is not state:
            raise RemoteProtocolError(
                f"masking's {type(message).__name__} came while {self._me} was at {self.state.name.lower()}"
            )

    def _share(self, roster: Roster) -> Sealed:
        """Share both secrets among the neighbours and itself."""
        self._check(roster)
        self._roster = roster
        holders = sorted(roster.keys)
        points = range(1, len(holders) + 1)
        seeds = split(self._seed, self.needed, points, self._random)
        keys = split(self._mask.private, self.needed, points, self._random)
        pairs = dict(zip(holders, zip(seeds, keys, strict=True), strict=True))
        self._held[self._me] = pairs.pop(self._me)
        self._seal_keys = {peer: seal_key(self._seal, roster.keys[peer].seal) for peer in pairs}
        self.state = State.SHARES
        return Sealed({peer: self._sealed(peer, b"".join(pair)) for peer, pair in pairs.items()})

    def _sealed(self, peer: LearnerId, shares: bytes) -> bytes:
        return seal(self._seal_keys[peer], shares, self._me, peer, self._random)

    def _check(self, roster: Roster) -> None:
        if roster.keys.get(self._me) != self._said:
            raise RemoteProtocolError(f"masking's roster has other keys of {self._me} than it advertised")
        public = [key for keys in roster.keys.values() for key in (keys.seal, keys.mask)]
        if len(set(public)) < len(public):
            raise RemoteProtocolError("masking's roster has a key twice")
        needed, holders = self._terms.needed(roster.learners), len(roster.keys)
        if not needed <= holders <= roster.learners:
            said = f"masking's roster names {holders} of {roster.learners} learners"
            raise RemoteProtocolError(f"{said}, and {needed} or more are needed")

    def _hold(self, sealed: Mapping[LearnerId, bytes]) -> None:
        """Keep what the neighbours sealed for this learner; who sealed nothing is out."""
        for peer, envelope in sealed.items():
            if peer not in self._seal_keys:
                raise RemoteProtocolError(f"masking's shares are of {peer}, which is not in the roster")
            shares = unseal(self._seal_keys[peer], envelope, peer, self._me)
            self._held[peer] = shares[:SHARE_BYTES], shares[SHARE_BYTES:]
        self._enough(len(self._held), "shared their secrets")
        self.state = State.READY

    def _reveal(self, survivors: frozenset[LearnerId]) -> Revealed:
        """The one answer of this round: it tells who delivered from who did not as the controller does."""
        if self._me not in survivors:
            raise RemoteProtocolError(f"masking's survivors lack {self._me}, which is asked for its shares")
        if stranger := min(survivors - self._held.keys(), default=""):
            raise RemoteProtocolError(f"masking's survivors hold {stranger}, which shared no secrets")
        self._enough(len(survivors), "delivered")
        self.state = State.OVER
        held, self._held = self._held, {}
        self._seed, self._seal_keys = b"", {}
        return Revealed(
            {peer: seed for peer, (seed, _) in held.items() if peer in survivors},
            {peer: key for peer, (_, key) in held.items() if peer not in survivors},
        )

    def _enough(self, number: int, did: str) -> None:
        if number < self.needed:
            raise RemoteProtocolError(f"{number} of {len(self._roster.keys)} learners {did}, and {self.needed} are needed")
