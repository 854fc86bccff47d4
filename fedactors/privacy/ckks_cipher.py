"""CKKS at work: rows of values to coefficients and back, with a secret key. The one module that imports TenSEAL.

TenSEAL's wheel binds Microsoft SEAL itself as `tenseal.sealapi`: symmetric encryption, two values a slot, one prime. It holds the
interpreter's lock in every call, for about a millisecond a ciphertext.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from fedactors.errors import ConfigError, ExtraMissing, ModelError
from fedactors.model import Array
from fedactors.privacy.ckks_parameters import CkksParameters

try:
    import tenseal.sealapi as seal
    import zstandard

    from fedactors.privacy.ckks_stream import MemoryFile, StreamForm
except ModuleNotFoundError as error:
    raise ExtraMissing("a CKKS key", error.name or "tenseal", "he") from error

KEY_CHARS = 16
"""Of a key's fingerprint, hexadecimal: enough to tell a federation's keys apart."""


class CkksCipher:
    """One secret key, ready to encrypt and decrypt. One thread at a time.

    Attributes:
        parameters: of its ciphertexts.
    """

    def __init__(self, parameters: CkksParameters, secret: bytes | None = None) -> None:
        """Take a key, or draw one from the system's randomness where none is given.

        Raises:
            ConfigError: the key is none of these parameters, or this TenSEAL cannot be used; the message says what to install.
        """
        self.parameters = parameters
        self._file = MemoryFile()
        context = self._context = _context(parameters)
        key = seal.KeyGenerator(context).secret_key() if secret is None else self._loaded(secret)
        self._secret = key
        self._encryptor, self._decryptor = seal.Encryptor(context, key), seal.Decryptor(context, key)
        self._encoder = seal.CKKSEncoder(context)
        self._form = self._tested_form()

    def secret(self) -> bytes:
        """The secret key, to be written to a file that nobody else reads."""
        return self._file.saved(self._secret)

    def _loaded(self, secret: bytes) -> seal.SecretKey:
        key = seal.SecretKey()
        try:
            key.load(self._context, self._file.holding(secret))
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"the CKKS key is no key of preset {self.parameters.name!r}: {error}") from error
        return key

    # -------------------------------------------------------------------------------------------------------- ciphertext by row

    def encrypt(self, values: npt.NDArray[np.float64], out: Array) -> None:
        """Encrypt each row into a ciphertext of its own.

        Args:
            values: float64[rows, degree], of which no |value| times scale is beyond the modulus.
            out: uint32 or uint64[rows, 2, degree], coefficients below the modulus.
        """
        for row, words in zip(values, out, strict=True):
            words[:] = self._form.words(self._file.saved(self._encrypted(row)))

    def decrypt(self, words: Array, out: npt.NDArray[np.float64]) -> None:
        """The inverse of `encrypt`, of sums of ciphertexts, too.

        Args:
            words: uint32 or uint64[rows, 2, degree].
            out: float64[rows, degree].

        Raises:
            ModelError: a coefficient is not below the modulus.
        """
        for row, coefficients in zip(out, words, strict=True):
            row[:] = self._decrypted(coefficients.astype(np.uint64, copy=False))

    def _encrypted(self, row: npt.NDArray[np.float64]) -> seal.Ciphertext:
        plain, ciphertext = seal.Plaintext(), seal.Ciphertext()
        self._encoder.encode(row.view(np.complex128).tolist(), self.parameters.scale, plain)
        self._encryptor.encrypt_symmetric(plain, ciphertext)
        return ciphertext

    def _decrypted(self, coefficients: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
        ciphertext, plain = seal.Ciphertext(), seal.Plaintext()
        try:
            ciphertext.load(self._context, self._file.holding(*self._form.stream(coefficients)))
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"the model holds something that is no ciphertext: {error}") from error
        self._decryptor.decrypt(ciphertext, plain)
        slots = self._encoder.decode_complex(plain)
        return np.fromiter(slots, np.complex128, len(slots)).view(np.float64)

    # ----------------------------------------------------------------------------------------------------------------- self-test

    def _tested_form(self) -> StreamForm:
        """How ciphertexts are written, after two of them were added up as bare coefficients and came out as their sum."""
        try:
            off = self._off_by_adding()
        except (ModelError, zstandard.ZstdError, RuntimeError, ValueError, IndexError) as error:
            raise _unusable(str(error)) from error
        if not off < 100 * self.parameters.error(2):
            raise _unusable(f"two ciphertexts that are added up are off by {off:g}")
        return self._form

    def _off_by_adding(self) -> float:
        degree, modulus = self.parameters.degree, np.uint64(self.parameters.modulus)
        values = np.linspace(-1.0, 1.0, 2 * degree).reshape(2, degree)
        self._form = StreamForm(self._file.saved(self._encrypted(values[0])), degree)
        words, total = np.empty((2, 2, degree), np.uint64), np.empty((1, degree))
        self.encrypt(values, words)
        self.decrypt((words[:1] + words[1:]) % modulus, total)
        return float(np.abs(total[0] - values.sum(0)).max())


def fingerprint(secret: bytes) -> str:
    """What a key is called in public; it says nothing of the key."""
    return hashlib.sha256(b"fedactors CKKS key\0" + secret).hexdigest()[:KEY_CHARS]


def _context(parameters: CkksParameters) -> seal.SEALContext:
    chosen = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    chosen.set_poly_modulus_degree(parameters.degree)
    chosen.set_coeff_modulus([seal.Modulus(parameters.modulus)])
    context = seal.SEALContext(chosen, True, seal.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise ConfigError(f"SEAL refuses the CKKS preset {parameters.name!r}: {context.parameters_error_message()}")
    return context


def _unusable(why: str) -> ConfigError:
    return ConfigError(f"this release of TenSEAL writes ciphertexts in another way ({why}): pip install 'fedactors[he]'")
