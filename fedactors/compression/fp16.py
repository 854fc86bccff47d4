"""IEEE half precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.compression.narrowed import Narrowed, Of


@dataclass(frozen=True, slots=True)
class Fp16(Narrowed):
    """Every float in 16 bits, of which 5 are its exponent: finer than bf16, from 6e-8 to 65,504 only.

    Each value is off by at most 2^-11 of itself, or by 2^-25 where that is more. An update with a greater value than 65,504
    travels as it is, and its learner says so.

    Attributes:
        of: "difference": the update less its base, so that the controller keeps the versions that learners train from; "weights":
            the new weights, which need none.

    Source: IEEE Std 754-2019, binary16; for training, Micikevicius et al., Mixed Precision Training, ICLR 2018, section 3,
    arXiv:1710.03740.
    """

    dtype: ClassVar[str] = "float16"

    of: Of = Of.DIFFERENCE

    @property
    @override
    def what(self) -> Of:
        return self.of
