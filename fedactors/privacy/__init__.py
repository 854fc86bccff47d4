"""Secure aggregation: updates are added up by a controller that cannot read them.

base      what a method is
sealing   versions as ciphertext: what a learner does with a key that the controller lacks

ckks      every version is a sum of ciphertexts
    ckks_parameters   by name, and what makes them secure
    ckks_layout       what everybody may know of a sealed model
    ckks_form         what a controller refuses
    ckks_key          the secret key and its file
    ckks_sealing      a learner's side
    ckks_values       tensors as one row of numbers; ckks_cipher: rows as ciphertexts; ckks_stream: SEAL's form of these

A method is a frozen dataclass whose fields are its options; the configuration names it in its table [secure], and it is
registered in the entry-point group `fedactors.privacy`. Packages for cryptography are imported where a key is used, never by the
controller.
"""

from fedactors.privacy.base import SecureAggregation

__all__ = ["SecureAggregation"]
