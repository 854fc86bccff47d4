"""What CKKS will cost, before anything runs. Pure.

Times are those of one core of a server at 2 to 3 GHz, as benchmarks/secure.py measures them; they grow with the model.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedactors.privacy.ckks_parameters import CkksParameters

MILLION = 1_000_000
SEAL_S = 0.4
"""A million parameters of one update."""
OPEN_S = 0.2
"""A million parameters of one version."""
ADD_S_PER_BYTE = 0.25e-9
"""Of an update's ciphertext, with numpy's kernels."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a model of so many parameters.

    Attributes:
        num_parameters: of the model.
        update_bytes: of an update, and of a version, as ciphertext.
        round_bytes: down and up, for all learners of a round.
        learner_s: a learner's processor time in a round: to open a version and to seal an update.
        controller_s: the controller's, for all updates of a round.
    """

    num_parameters: int
    update_bytes: int
    round_bytes: int
    learner_s: float
    controller_s: float


def estimate(parameters: CkksParameters, updates: int, num_parameters: int = MILLION) -> Cost:
    """What a round of so many updates costs."""
    ciphertexts = -(-num_parameters // parameters.degree)
    update_bytes = ciphertexts * parameters.degree * parameters.bytes_per_value
    return Cost(
        num_parameters,
        update_bytes,
        2 * updates * update_bytes,
        (SEAL_S + OPEN_S) * num_parameters / MILLION,
        ADD_S_PER_BYTE * updates * update_bytes,
    )
