"""Norm clipping: no update goes farther from its base than a bound."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.aggregation._distance import norm, shortened
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.wrapping import Wrapping, WrappingFold
from fedactors.errors import ConfigError
from fedactors.model import Buffer, Layout


@dataclass(frozen=True, slots=True)
class Clipped(Wrapping):
    """Any rule, over updates whose difference from their base is clipped.

    w_i <- b_i + (w_i - b_i) min(1, C / |w_i - b_i|), with w_i the `buffer` and b_i the `base` of contribution i; norm and
    clipping are over floating-point tensors. What is not finite counts as its base. Memory: a model, or one for each clipped
    update where the rule keeps updates.

    Attributes:
        rule: the rule that combines.
        bound: C > 0, a Euclidean norm.

    Source: Sun et al., Can You Really Backdoor Federated Learning?, 2019, section 3, arXiv:1911.07963.
    """

    rule: Rule
    bound: float
    needs_base: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.bound > 0:
            raise ConfigError(f"updates are clipped to norm {self.bound}; give a number above 0")

    @override
    def fold(self, layout: Layout) -> Fold:
        return ClippedFold(self, layout)


class ClippedFold(WrappingFold):
    """The rule's fold, and the memory in which an update is clipped."""

    def __init__(self, rule: Clipped, layout: Layout) -> None:
        super().__init__(rule.rule.fold(layout))
        self._rule = rule
        self._layout = layout
        self._scratch: Buffer | None = None

    @override
    def add(self, contribution: Contribution) -> None:
        assert contribution.base is not None, f"the update of {contribution.learner} comes without its base"
        length = norm(self._layout, contribution.buffer, contribution.base)
        if not length <= self._rule.bound:
            contribution = replace(contribution, buffer=self._clipped(contribution.buffer, contribution.base, length))
        self._fold.add(contribution)

    def _clipped(self, buffer: Buffer, base: Buffer, length: float) -> Buffer:
        if self._scratch is None or self._rule.keeps_updates:
            self._scratch = np.empty(self._layout.nbytes, np.uint8)
        if math.isfinite(length):
            shortened(self._layout, buffer, base, self._rule.bound / length, self._scratch)
        else:
            self._scratch[:] = base
        return self._scratch
