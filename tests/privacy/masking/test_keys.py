"""What two learners agree on, and what nobody else can open."""

from __future__ import annotations

import random

import pytest

from fedactors.errors import RemoteProtocolError
from fedactors.privacy.masking.keys import KeyPair, own_key, pair_key, seal, seal_key, unseal

RANDOM = random.Random(0)  # a test's
ALICE, BOB, EVE = (KeyPair.of(RANDOM.randbytes(32)) for _ in range(3))


def test_public_keys_are_those_of_the_standard() -> None:
    """RFC 7748, section 6.1."""
    alice = KeyPair.of(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
    assert alice.public.hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"


def test_two_learners_agree_and_a_third_does_not() -> None:
    assert pair_key(ALICE, BOB.public) == pair_key(BOB, ALICE.public)
    assert pair_key(ALICE, BOB.public) != pair_key(EVE, BOB.public)


def test_a_key_has_one_purpose() -> None:
    assert len({pair_key(ALICE, BOB.public), seal_key(ALICE, BOB.public), own_key(ALICE.private), ALICE.private}) == 4


def test_what_is_sealed_is_read_by_its_receiver_alone() -> None:
    sealed = seal(seal_key(ALICE, BOB.public), b"share", "alice", "bob", RANDOM.randbytes)
    assert b"share" not in sealed
    assert unseal(seal_key(BOB, ALICE.public), sealed, "alice", "bob") == b"share"
    with pytest.raises(RemoteProtocolError, match="alice sealed for bob cannot be read"):
        unseal(seal_key(EVE, ALICE.public), sealed, "alice", "bob")


@pytest.mark.parametrize(("sender", "receiver"), [("bob", "alice"), ("alice", "carol"), ("a", "licebob"), ("eve", "bob")])
def test_what_is_sealed_cannot_be_redirected(sender: str, receiver: str) -> None:
    key = seal_key(ALICE, BOB.public)
    sealed = seal(key, b"share", "alice", "bob", RANDOM.randbytes)
    with pytest.raises(RemoteProtocolError, match="was changed"):
        unseal(key, sealed, sender, receiver)


@pytest.mark.parametrize("sealed", [b"", bytes(11), bytes(94)])
def test_nonsense_is_not_unsealed(sealed: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="cannot be read"):
        unseal(seal_key(ALICE, BOB.public), sealed, "alice", "bob")


def test_a_public_key_that_everybody_agrees_with_is_refused() -> None:
    """A point of low order gives an all-zero secret, which the controller would know."""
    with pytest.raises(RemoteProtocolError, match="no X25519 public key"):
        pair_key(ALICE, bytes(32))


def test_a_private_key_is_not_shown() -> None:
    assert ALICE.private.hex() not in repr(ALICE)
    assert repr(ALICE.private) not in repr(ALICE)
