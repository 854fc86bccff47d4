"""What the members of a masked round and the controller say to each other, as values and as maps that travel.

stage     learner to controller                controller to learner
─────     ─────────────────────                ─────────────────────
keys      PublicKeys, as soon as it has a task Roster, once everybody's keys are here
shares    Sealed, for each neighbour           Sealed, by each neighbour
unmask    Revealed                             Unmask, once the updates are here
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fedactors.errors import RemoteProtocolError
from fedactors.model import NAME_CHARS_MAX, LearnerId
from fedactors.privacy.masking.keys import KEY_BYTES, NONCE_BYTES
from fedactors.privacy.masking.shamir import SHARE_BYTES
from fedactors.privacy.masking.terms import PEERS_MAX

SEALED_BYTES = NONCE_BYTES + 2 * SHARE_BYTES + 16
"""A nonce, two shares and the cipher's tag."""

KEYS, SHARES, UNMASK = "keys", "shares", "unmask"


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """A learner's public keys of one round.

    Attributes:
        seal: by which others seal what is for this learner, 32 bytes.
        mask: by which others agree with it on masks, 32 bytes.
    """

    seal: bytes
    mask: bytes


@dataclass(frozen=True, slots=True)
class Roster:
    """Who takes part, as far as it concerns one learner.

    Attributes:
        learners: that the round began with, on which the fixed point depends; the same for everybody.
        keys: of the learner's neighbours, and its own.
    """

    learners: int
    keys: Mapping[LearnerId, PublicKeys]


@dataclass(frozen=True, slots=True)
class Sealed:
    """Shares, each sealed for one learner: by the receiver's name on their way up, by the sender's on their way down."""

    shares: Mapping[LearnerId, bytes]


@dataclass(frozen=True, slots=True)
class Unmask:
    """The updates are here: which of the learner's neighbours, itself included, delivered one."""

    survivors: frozenset[LearnerId]


@dataclass(frozen=True, slots=True)
class Revealed:
    """A survivor's shares; there is no learner that stands in both.

    Attributes:
        seeds: of the own masks of those who delivered.
        keys: of the private mask keys of those who did not.
    """

    seeds: Mapping[LearnerId, bytes]
    keys: Mapping[LearnerId, bytes]


FromMember: TypeAlias = PublicKeys | Sealed | Revealed
ToMember: TypeAlias = Roster | Sealed | Unmask


def written(message: FromMember | ToMember) -> tuple[str, dict[str, Any]]:
    """A message's stage, and its map."""
    match message:
        case PublicKeys(seal, mask):
            return KEYS, {"seal": seal, "mask": mask}
        case Roster(learners, keys):
            return KEYS, {"learners": learners, "keys": {name: pair.seal + pair.mask for name, pair in keys.items()}}
        case Sealed(shares):
            return SHARES, {"shares": dict(shares)}
        case Unmask(survivors):
            return UNMASK, {"survivors": sorted(survivors)}
        case Revealed(seeds, keys):
            return UNMASK, {"seeds": dict(seeds), "keys": dict(keys)}


def read_from_member(stage: str, body: Mapping[str, Any]) -> FromMember:
    """What a learner said.

    Raises:
        RemoteProtocolError: it makes no sense; nothing of it was kept.
    """
    if stage == KEYS:
        return PublicKeys(_bytes("seal", body.get("seal"), KEY_BYTES), _bytes("mask", body.get("mask"), KEY_BYTES))
    if stage == SHARES:
        return Sealed(_by_learner("shares", body, SEALED_BYTES))
    if stage == UNMASK:
        return Revealed(_by_learner("seeds", body, SHARE_BYTES), _by_learner("keys", body, SHARE_BYTES))
    raise RemoteProtocolError(f"masking has no stage {stage!r:.40}")


def read_to_member(stage: str, body: Mapping[str, Any]) -> ToMember:
    """What the controller said.

    Raises:
        RemoteProtocolError: it makes no sense.
    """
    if stage == KEYS:
        learners = body.get("learners")
        if not isinstance(learners, int) or not 1 <= learners < 2**31:
            raise RemoteProtocolError(f"masking's learners is {learners!r:.40}, not a number of learners")
        pairs = _by_learner("keys", body, 2 * KEY_BYTES)
        return Roster(learners, {name: PublicKeys(pair[:KEY_BYTES], pair[KEY_BYTES:]) for name, pair in pairs.items()})
    if stage == SHARES:
        return Sealed(_by_learner("shares", body, SEALED_BYTES))
    if stage == UNMASK:
        survivors = body.get("survivors")
        if not isinstance(survivors, list) or len(survivors) > PEERS_MAX or not all(map(_is_name, survivors)):
            raise RemoteProtocolError(f"masking's survivors is {survivors!r:.80}, not a list of learners")
        return Unmask(frozenset(survivors))
    raise RemoteProtocolError(f"masking has no stage {stage!r:.40}")


def _by_learner(key: str, body: Mapping[str, Any], length: int) -> dict[LearnerId, bytes]:
    values = body.get(key)
    if not isinstance(values, dict) or len(values) > PEERS_MAX or not all(map(_is_name, values)):
        raise RemoteProtocolError(f"masking's {key} is no map by learner, or one of more than {PEERS_MAX}")
    return {name: _bytes(f"{key} of {name}", value, length) for name, value in values.items()}


def _bytes(what: str, value: object, length: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != length:
        raise RemoteProtocolError(f"masking's {what:.80} is not {length} bytes")
    return value


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= NAME_CHARS_MAX
