"""bfloat16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.compression.narrowed import Narrowed, Of


@dataclass(frozen=True, slots=True)
class Bf16(Narrowed):
    """Every float in 16 bits, of which 8 are its exponent: half the bytes of float32, of the same range.

    Each value is off by at most 2^-8 of itself. Of a difference, that is little of what training changed; of a weight, it may be
    more than training changed, and a model whose updates are all smaller stands still.

    Attributes:
        of: "difference": the update less its base, so that the controller keeps the versions that learners train from; "weights":
            the new weights, which need none.

    Source: Kalamkar et al., A Study of BFLOAT16 for Deep Learning Training, 2019, section 3, arXiv:1905.12322.
    """

    dtype: ClassVar[str] = "bfloat16"

    of: Of = Of.DIFFERENCE

    @property
    @override
    def what(self) -> Of:
        return self.of
