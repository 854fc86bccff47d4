"""CKKS: versions and updates are ciphertext, and the controller adds them up without a key."""

from __future__ import annotations

from dataclasses import dataclass

from fedactors.errors import ConfigError
from fedactors.privacy.base import SecureAggregation
from fedactors.privacy.ckks_parameters import PRESETS, CkksParameters, Preset


@dataclass(frozen=True, slots=True)
class Ckks(SecureAggregation):
    """Every version of the model is a sum of ciphertexts, which learners decrypt and divide by the public sum of their factors.

    Who holds the secret key, as every learner does, can read every ciphertext that it comes by; who does not, as the controller,
    can add them up.

    Attributes:
        preset: of parameters: precise (16 bytes a parameter) or fast (8 bytes, and an error that half precision hides).
        reference: the mean factor that is expected of an update, > 0; where it is not given, that of the learner that gives
            version 0, or 1 where the weighting is not by examples. A guess that is wrong a hundredfold does no harm with
            precise, nor threefold with fast.

    Source: Cheon, Kim, Kim and Song, Homomorphic Encryption for Arithmetic of Approximate Numbers, ASIACRYPT 2017,
    eprint 2016/421; in the symmetric form of Microsoft SEAL, by way of TenSEAL.
    """

    preset: Preset = "precise"
    reference: float | None = None

    def __post_init__(self) -> None:
        if self.reference is not None and not self.reference > 0:
            raise ConfigError(f"ckks has reference={self.reference}; give the mean factor that is expected, a number above 0")

    @property
    def parameters(self) -> CkksParameters:
        """Those that the preset names."""
        return PRESETS[self.preset]
