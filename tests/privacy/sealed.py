"""Keys, which take a while to draw, and federations of them in miniature: for the tests of what is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from fedactors.aggregation import Contribution, Fold
from fedactors.aggregation.ckks_sum import CkksSum
from fedactors.model import Buffer, GlobalModel, Layout, Weights
from fedactors.privacy.ckks_key import CkksKey
from fedactors.privacy.ckks_parameters import PRESETS
from fedactors.privacy.ckks_sealing import CkksSealing


@cache
def _drawn(preset: str, owner: str) -> CkksKey:
    return CkksKey.draw(preset)


def key(preset: str = "precise") -> CkksKey:
    """A key of this preset, always the same in one run of the tests."""
    return _drawn(preset, "the federation")


def stranger(preset: str = "precise") -> CkksKey:
    """Another one."""
    return _drawn(preset, "a stranger")


def sealing(preset: str = "precise", reference: float | None = None, updates: int = 1) -> CkksSealing:
    """A learner's."""
    return CkksSealing(key(preset), reference, updates, by_examples=True)


def as_model(weights: Weights, version: int = 0) -> GlobalModel:
    """These tensors as a version."""
    layout = Layout.of(weights)
    return GlobalModel(version, layout, layout.pack(weights))


def version_0(weights: Weights, learner: CkksSealing, examples: int = 1) -> GlobalModel:
    """Sealed by a learner."""
    return as_model(learner.initial(weights, examples))


def contribution(learner: str, buffer: Buffer, factor: float) -> Contribution:
    """An update that was accepted."""
    return Contribution(learner, buffer, factor)


def combined(
    base: GlobalModel, updates: Sequence[tuple[Weights, float]], learner: CkksSealing, fold: Fold | None = None
) -> GlobalModel:
    """What a controller makes of the updates of as many learners: the next version, sealed."""
    fold = CkksSum(PRESETS[learner.preset]).fold(base.layout) if fold is None else fold
    for index, (weights, factor) in enumerate(updates):
        buffer = base.layout.pack(learner.update(weights, factor, base))
        fold.add(contribution(f"learner-{index}", buffer, factor))
    return GlobalModel(base.version + 1, base.layout, fold.commit(base))


def mean(updates: Sequence[tuple[Weights, float]]) -> dict[str, np.ndarray]:
    """The weighted mean of updates, in float64."""
    total = sum(factor for _, factor in updates)
    return {name: sum(factor * w[name].astype(np.float64) for w, factor in updates) / total for name in updates[0][0]}
