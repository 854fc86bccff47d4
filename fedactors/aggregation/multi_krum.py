"""Multi-Krum: the mean of the updates that are nearest to their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.aggregation._weighted import Term, WeightedMean
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.kept import KeptFold
from fedactors.aggregation.krum import check_byzantine, distances, krum_scores
from fedactors.errors import ConfigError
from fedactors.model import Buffer, GlobalModel, Layout


@dataclass(frozen=True, slots=True)
class MultiKrum(Rule):
    """The plain mean of the m updates with the least Krum scores s_i; for these see krum.

    The weighting says only whether an update counts (factor above 0). Dtypes are treated as fedavg treats them. Costs and memory
    are krum's.

    Attributes:
        byzantine: f >= 0; a round needs 2 f + 3 updates.
        chosen: m >= 1; 0: N - f - 2, as many as a score looks at. Where m is given, a round needs m + f + 2 updates too.

    Source: Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, NeurIPS 2017, section 5,
    arXiv:1703.02757.
    """

    byzantine: int = 1
    chosen: int = 0
    keeps_updates: ClassVar[bool] = True
    weighs: ClassVar[bool] = False
    discounts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_byzantine("multi_krum", self.byzantine)
        if self.chosen < 0:
            raise ConfigError(f"multi_krum has chosen={self.chosen}; give the number of updates to average, or 0 for N - f - 2")

    @property
    @override
    def updates_min(self) -> int:
        return max(2 * self.byzantine + 3, self.chosen + self.byzantine + 2)

    @override
    def fold(self, layout: Layout) -> Fold:
        return MultiKrumFold(self, layout)


class MultiKrumFold(KeptFold):
    """The open round's updates."""

    def __init__(self, rule: MultiKrum, layout: Layout) -> None:
        super().__init__(layout, rule.updates_min, f"multi_krum with byzantine={rule.byzantine}")
        self._rule = rule

    @override
    def combined(self, kept: Sequence[Contribution], current: GlobalModel) -> Buffer:
        f = self._rule.byzantine
        scores = krum_scores(distances(self.layout, kept, current), f)
        nearest = np.argsort(scores, kind="stable")[: self._rule.chosen or len(kept) - f - 2]
        return WeightedMean(self.layout).mean_of(Term(kept[index].buffer, 1.0) for index in nearest)
