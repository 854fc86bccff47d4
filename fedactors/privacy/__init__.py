"""Secure aggregation: updates are added up by a controller that cannot read them.

base             what a method is
ckks             every version is a sum of ciphertexts; ckks_parameters: by name, and what makes them secure

A method is a frozen dataclass whose fields are its options; the configuration names it in its table [secure], and it is
registered in the entry-point group `fedactors.privacy`. Packages for cryptography are imported where a key is used, never by the
controller.
"""

from fedactors.privacy.base import SecureAggregation

__all__ = ["SecureAggregation"]
