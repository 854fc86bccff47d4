"""Masks: vectors of uniform words that grow from a key by AES-128 in counter mode, and cancel when they are subtracted again.

Addition modulo 2^b is what numpy's unsigned integers do. A mask's words can be generated from any block on, so that all masks of
a block are added while it is in the cache, and several threads may work on the blocks of one vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fedactors.model import Array
from fedactors.privacy.masking.pieces import ShareOut, in_turn

BLOCK_BYTES = 256 * 1024
"""What is generated at a time: it stays in a core's own cache."""

_AES_BYTES = 16
_ZEROS = bytes(BLOCK_BYTES)


@dataclass(frozen=True, slots=True)
class Mask:
    """One mask, and whether it is added or taken away.

    Attributes:
        key: 16 bytes that it grows from.
        sign: 1 or -1.
    """

    key: bytes = field(repr=False)
    sign: int

    @property
    def inverse(self) -> Mask:
        """What cancels it."""
        return Mask(self.key, -self.sign)


def apply(words: Array, masks: Sequence[Mask], share_out: ShareOut = in_turn) -> None:
    """Add the masks to `words` (uint32 or uint64[n]), in place, modulo 2^b."""
    block = BLOCK_BYTES // words.itemsize

    def work(start: int) -> None:
        _apply_to_block(words[start : start + block], start * words.itemsize, masks)

    share_out(work, range(0, words.size, block), words.size * len(masks))


def _apply_to_block(words: Array, first_byte: int, masks: Sequence[Mask]) -> None:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    stream = bytearray(words.nbytes + _AES_BYTES)
    values = np.frombuffer(stream, words.dtype, words.size)
    counter = (first_byte // _AES_BYTES).to_bytes(_AES_BYTES)
    for mask in masks:
        cipher = Cipher(algorithms.AES(mask.key), modes.CTR(counter)).encryptor()
        cipher.update_into(memoryview(_ZEROS)[: words.nbytes], stream)
        (np.add if mask.sign > 0 else np.subtract)(words, values, out=words)
