"""Masks as long vectors: a cipher's stream, the same from any block on, and gone when it is subtracted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedactors.privacy.masking.masks import BLOCK_BYTES, Mask, apply

KEY, OTHER = bytes(range(16)), bytes(range(16, 32))


def stream(key: bytes, nbytes: int) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(nbytes))


def backwards(work: Callable[[Any], object], items: Sequence[Any], _: int) -> None:
    for item in reversed(items):
        work(item)


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
@pytest.mark.parametrize("nbytes", [8, 40, BLOCK_BYTES, 2 * BLOCK_BYTES + 24])
def test_a_mask_is_aes_in_counter_mode(dtype: type[np.unsignedinteger[Any]], nbytes: int) -> None:
    words = np.full(nbytes // np.dtype(dtype).itemsize, 7, dtype)
    apply(words, [Mask(KEY, 1)])
    assert np.array_equal(words, np.frombuffer(stream(KEY, nbytes), dtype) + dtype(7))


def test_a_mask_and_its_inverse_leave_nothing() -> None:
    words = np.arange(100_000, dtype=np.uint32)
    masks = [Mask(KEY, 1), Mask(OTHER, -1)]
    apply(words, masks)
    assert np.count_nonzero(words == np.arange(100_000)) < 10
    apply(words, [mask.inverse for mask in masks])
    assert np.array_equal(words, np.arange(100_000))


def test_blocks_may_be_masked_in_any_order() -> None:
    words, again = np.zeros(200_000, np.uint32), np.zeros(200_000, np.uint32)
    apply(words, [Mask(KEY, 1), Mask(OTHER, -1)])
    apply(again, [Mask(KEY, 1), Mask(OTHER, -1)], backwards)
    assert np.array_equal(words, again)


def test_a_masked_word_takes_every_value_alike() -> None:
    """Of an update that is 0 everywhere: each bit of a word is set in half of the words."""
    words = np.zeros(100_000, np.uint32)
    apply(words, [Mask(KEY, 1)])
    shares = [np.mean(words >> bit & 1) for bit in range(32)]
    assert max(abs(share - 0.5) for share in shares) < 0.01


def test_a_key_is_not_shown() -> None:
    assert repr(KEY) not in repr(Mask(KEY, 1))
