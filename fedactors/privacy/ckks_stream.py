"""SEAL's ciphertexts as bare coefficients, and back. SEAL writes and reads files only: here, one in memory.

    header, 16 bytes    magic 0xA15E, its size, version, compression, bytes in all
    zstd of             97 bytes of metadata (parameters, NTT form, sizes, scale), then uint64[2, degree] coefficients

The metadata is the same for every fresh ciphertext and for every sum of them, so the first one's is kept and the rest dropped.
"""

from __future__ import annotations

import os
import struct
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import zstandard

from fedactors.errors import ConfigError, ModelError

HEADER = struct.Struct("<HBBBBHQ")
ZSTD, PLAIN = 2, 0
"""How a stream is compressed, in its header."""

Words = npt.NDArray[np.uint64]


class Saved(Protocol):
    """Something of SEAL's that can be written."""

    def save(self, path: str) -> None:
        """Write it to a file."""


class MemoryFile:
    """A file that never touches a disk. One thread at a time."""

    def __init__(self) -> None:
        """Make one; ConfigError where the operating system has none."""
        self._fd = -1
        if not hasattr(os, "memfd_create"):
            raise ConfigError("CKKS needs files in memory, which Linux has: run this learner there")
        self._fd = os.memfd_create("ciphertext")
        self.path = f"/proc/self/fd/{self._fd}"

    def saved(self, what: Saved) -> bytes:
        """What SEAL writes."""
        os.ftruncate(self._fd, 0)
        what.save(self.path)
        return os.pread(self._fd, os.fstat(self._fd).st_size, 0)

    def holding(self, *parts: bytes | memoryview) -> str:
        """The path of a file of these parts, for SEAL to read."""
        os.ftruncate(self._fd, 0)
        os.pwritev(self._fd, parts, 0)
        return self.path

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


class StreamForm:
    """How this release of SEAL writes ciphertexts of one degree."""

    def __init__(self, example: bytes, degree: int) -> None:
        """Learn it from a ciphertext.

        Raises:
            ModelError: it is written in a way that is not known here.
        """
        self._shape = (2, degree)
        self._coefficient_bytes = 2 * degree * 8
        self._decompressor = zstandard.ZstdDecompressor()
        magic, size, major, minor, how, reserved, total = HEADER.unpack_from(example)
        if size != HEADER.size or total != len(example) or how not in (PLAIN, ZSTD):
            raise ModelError(f"a ciphertext with a header of {size} bytes, compressed by method {how}")
        self._meta = self._body(example)[: -self._coefficient_bytes]
        nbytes = HEADER.size + len(self._meta) + self._coefficient_bytes
        self._head = HEADER.pack(magic, size, major, minor, PLAIN, reserved, nbytes) + self._meta

    def words(self, stream: bytes) -> Words:
        """The coefficients of a ciphertext: uint64[2, degree], read-only.

        Raises:
            ModelError: it is of another kind than the one that was learnt from.
        """
        body = self._body(stream)
        if body[: -self._coefficient_bytes] != self._meta:
            raise ModelError("a ciphertext whose metadata differ from those of others")
        return np.frombuffer(body, np.uint64, offset=len(self._meta)).reshape(self._shape)

    def stream(self, words: Words) -> tuple[bytes, memoryview]:
        """A ciphertext of these coefficients, in two parts."""
        return self._head, np.ascontiguousarray(words).data.cast("B")

    def _body(self, stream: bytes) -> bytes:
        if HEADER.unpack_from(stream)[4] == PLAIN:
            return stream[HEADER.size :]
        whole: Any = self._decompressor.decompress(stream[HEADER.size :], max_output_size=2 * self._coefficient_bytes)
        return bytes(whole)
