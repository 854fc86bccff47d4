"""The weighted mean of masked updates: words are added up, and the sum is opened once the survivors have said how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.aggregation._kernels import blocks
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.lanes import share_out
from fedactors.errors import ModelError
from fedactors.model import Array, Buffer, GlobalModel, Layout, LearnerId
from fedactors.privacy.masking.form import MaskedForm
from fedactors.privacy.masking.unmasking import Unmasking


@dataclass(frozen=True, slots=True)
class MaskedMean(Rule):
    """x = base + sum_i n_i (w_i - base) / sum_i n_i, of fixed-point differences that only their sum is known of.

    A contribution's buffer holds words, not weights (`fedactors.privacy.masking.fixed_point`), and its factor is one of them;
    addition modulo 2^b is exact, so the order of arrival cannot matter. One sum of words is held, however many updates there are.

    Attributes:
        form: in which updates travel.

    Source: Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving Machine Learning, CCS 2017,
    doi:10.1145/3133956.3133982.
    """

    discounts: ClassVar[bool] = False
    exact: ClassVar[bool] = True

    form: MaskedForm

    @override
    def fold(self, layout: Layout) -> Fold:
        return MaskedFold(layout, self.form.layout(layout))


class MaskedFold(Fold):
    """The sum of the open round's words.

    Attributes:
        learners: whose words are in it.
    """

    def __init__(self, layout: Layout, words: Layout) -> None:
        self.learners: list[LearnerId] = []
        self._layout = layout
        self._words = words
        self._total = self._words_of(np.zeros(words.nbytes, np.uint8))
        self._unmasking: Unmasking | None = None

    @override
    def add(self, contribution: Contribution) -> None:
        words, total = self._words_of(contribution.buffer), self._total

        def work(at: slice) -> None:
            np.add(total[at], words[at], out=total[at])

        share_out(work, list(blocks(total.size)), total.size)
        self.learners.append(contribution.learner)

    def unmask_by(self, unmasking: Unmasking) -> None:
        """This opens the sum, says the dialogue with those whose words are in it; `commit` does."""
        self._unmasking = unmasking

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        unmasking, total, updates = self._unmasking, self._total, len(self.learners)
        try:
            if unmasking is None:
                raise ModelError("the sum of masked updates cannot be read: nobody has said how")
            unmasking.open(total, share_out)
            return unmasking.fixed_point.mean(self._layout, total, updates, current.buffer, share_out)
        finally:
            self.abandon()

    @override
    def abandon(self) -> None:
        self.learners = []
        self._unmasking = None
        self._total[:] = 0

    def _words_of(self, buffer: Buffer) -> Array:
        return self._words.views(buffer)["words"]
