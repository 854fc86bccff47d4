"""What masking will cost, before anything runs. Pure.

Times are those of one core of a server at 2 to 3 GHz, as benchmarks/secure.py measures them; they grow with the model.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedactors.privacy.masking.terms import Terms

MILLION = 1_000_000
WRITE_S = 7e-3
"""A million differences in fixed point."""
READ_S = 5e-3
"""A million of them out of a sum."""
MASK_S_PER_BYTE = 0.5e-9
"""One mask on one update."""
ADD_S_PER_BYTE = 0.1e-9
"""One more update in a sum."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a model of so many parameters, in a round that nobody drops out of.

    Attributes:
        update_bytes: of an update under masks.
        learner_s: a learner's processor time in a round, beside its training.
        controller_s: the controller's, for all updates of a round.
        drop_s: the controller's for each learner that drops out, at most.
    """

    update_bytes: int
    learner_s: float
    controller_s: float
    drop_s: float


def estimate(terms: Terms, learners: int, num_parameters: int = MILLION) -> Cost:
    """What a round that begins with so many learners costs."""
    update_bytes, millions = num_parameters * terms.bits // 8, num_parameters / MILLION
    mask_s, holders = MASK_S_PER_BYTE * update_bytes, terms.holders(learners)
    return Cost(
        update_bytes,
        WRITE_S * millions + holders * mask_s,
        READ_S * millions + learners * (ADD_S_PER_BYTE * update_bytes + mask_s),
        (holders - 1) * mask_s,
    )
