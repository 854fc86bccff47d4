"""The secret key of a federation that seals with CKKS, and its file.

    {"kind": "fedactors CKKS secret key", "preset": "precise", "key": FINGERPRINT, "secret": SEAL's form in base64}

Whoever holds it can read every ciphertext that it comes by. Its file is its owner's alone; its fingerprint is public.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from fedactors.errors import ConfigError
from fedactors.model import GlobalModel
from fedactors.privacy.ckks_parameters import PRESETS
from fedactors.privacy.sealing import Key, Sealing, SealingSpec

KIND = "fedactors CKKS secret key"
FILE_BYTES_MAX = 1_000_000
"""Of a key's file; a larger one is none."""


@dataclass(frozen=True, slots=True)
class CkksKey(Key):
    """A secret key.

    Attributes:
        preset: of its parameters.
        secret: as SEAL writes it; in no log and no message.
        fingerprint: what it is called in public.
    """

    preset: str
    secret: bytes = field(repr=False)
    fingerprint: str

    @classmethod
    def draw(cls, preset: str) -> CkksKey:
        """A new key from the system's randomness.

        Raises:
            ConfigError: there is no such preset, or TenSEAL cannot be used.
        """
        from fedactors.privacy.ckks_cipher import CkksCipher, fingerprint

        if preset not in PRESETS:
            raise ConfigError(f"no CKKS preset named {preset!r} (known: {', '.join(PRESETS)})")
        secret = CkksCipher(PRESETS[preset]).secret()
        return cls(preset, secret, fingerprint(secret))

    @classmethod
    def read(cls, path: Path) -> CkksKey:
        """The key in a file.

        Raises:
            ConfigError: it is not there, not its owner's alone, or none; the message names it and nothing of its content.
        """
        from fedactors.privacy.ckks_cipher import fingerprint

        try:
            with path.open("rb") as file:
                _check_owner(path, file.fileno())
                written = file.read(FILE_BYTES_MAX)
        except OSError as error:
            raise ConfigError(f"cannot read the CKKS key {path}: {error.strerror}") from error
        try:
            found = json.loads(written)
            secret = base64.b64decode(found["secret"], validate=True)
            wrong = found["kind"] != KIND or found["preset"] not in PRESETS or fingerprint(secret) != found["key"]
        except (ValueError, KeyError, TypeError, binascii.Error):
            wrong = True
        if wrong:
            raise ConfigError(f"{path} is no CKKS key; `fedactors keys ckks {path}` makes one where there is none")
        return cls(found["preset"], secret, found["key"])

    def write(self, path: Path) -> None:
        """Write it to a new file that its owner alone can read.

        Raises:
            ConfigError: the file is there already, or cannot be written.
        """
        fields = {"kind": KIND, "preset": self.preset, "key": self.fingerprint, "secret": base64.b64encode(self.secret).decode()}
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ConfigError(f"{path} exists already, and what it opens would be lost with it; name another file") from None
        except OSError as error:
            raise ConfigError(f"cannot write the CKKS key {path}: {error.strerror}") from error
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")

    @override
    def sealing(self, spec: SealingSpec) -> Sealing:
        from fedactors.privacy.ckks_sealing import CkksSealing

        return CkksSealing.agreed(self, spec)

    @override
    def opened(self, model: GlobalModel) -> GlobalModel:
        from fedactors.privacy.ckks_sealing import CkksSealing

        return CkksSealing(self).opened(model)


def _check_owner(path: Path, fd: int) -> None:
    if stat.S_IMODE(os.fstat(fd).st_mode) & 0o077:
        raise ConfigError(f"the CKKS key {path} can be read by others than its owner: chmod 600 {path}")
