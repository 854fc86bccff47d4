"""Keys of a masked round: X25519 agreement, what follows from it by HKDF, and shares sealed by AES-256-GCM.

A learner makes two pairs for each round and uses them in no other. By the first, two learners agree on the key that seals what
they send each other by way of the controller; by the second, on the mask that one adds and the other subtracts. A key that two
agree on depends on both public keys and on its purpose. The package cryptography is imported where a key is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fedactors.errors import RemoteProtocolError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY_BYTES = 32
MASK_KEY_BYTES = 16
"""AES-128 is as hard to break as X25519."""
NONCE_BYTES = 12

_SEAL, _PAIR, _OWN = b"fedactors masking seal", b"fedactors masking pair", b"fedactors masking own"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An X25519 pair.

    Attributes:
        private: 32 bytes; never shown.
        public: 32 bytes.
        key: the same for the library, which takes as long to make as to use.
    """

    private: bytes = field(repr=False)
    public: bytes
    key: X25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def of(cls, private: bytes) -> KeyPair:
        """The pair of a private key, 32 random bytes."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        key = X25519PrivateKey.from_private_bytes(private)
        return cls(private, key.public_key().public_bytes_raw(), key)


def is_public(key: bytes) -> bool:
    """Whether somebody can agree on a secret with it: a point of low order gives everybody the same, and is none."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError:
        return False
    return True


def seal_key(own: KeyPair, peer: bytes) -> bytes:
    """What two learners seal their messages with; the same for both.

    Raises:
        RemoteProtocolError: `peer` is no public key.
    """
    return _agreed(own, peer, _SEAL, KEY_BYTES)


def pair_key(own: KeyPair, peer: bytes) -> bytes:
    """What the mask between two learners grows from; the same for both.

    Raises:
        RemoteProtocolError: `peer` is no public key.
    """
    return _agreed(own, peer, _PAIR, MASK_KEY_BYTES)


def own_key(seed: bytes) -> bytes:
    """What a learner's own mask grows from, given its seed of 32 bytes."""
    return _derived(seed, _OWN, MASK_KEY_BYTES)


def seal(key: bytes, share: bytes, sender: str, receiver: str, random: Callable[[int], bytes]) -> bytes:
    """A share that only its receiver can read: a nonce, then AES-256-GCM of it, bound to who sends it to whom."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = random(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, share, _direction(sender, receiver))


def unseal(key: bytes, sealed: bytes, sender: str, receiver: str) -> bytes:
    """The inverse of `seal`.

    Raises:
        RemoteProtocolError: it was sealed with another key or for somebody else, or was changed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _direction(sender, receiver))
    except (InvalidTag, ValueError) as error:
        raise RemoteProtocolError(f"the share that {sender} sealed for {receiver} cannot be read: it was changed") from error


def _agreed(own: KeyPair, peer: bytes, purpose: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    try:
        shared = own.key.exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError as error:
        raise RemoteProtocolError(f"{peer.hex():.64} is no X25519 public key: {error}") from error
    return _derived(shared, b"\0".join([purpose, *sorted([own.public, peer])]), length)


def _derived(secret: bytes, info: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt=None, info=info).derive(secret)


def _direction(sender: str, receiver: str) -> bytes:
    return f"{len(sender)}:{sender}:{receiver}".encode()
