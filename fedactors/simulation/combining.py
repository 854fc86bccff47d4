"""How fast are updates combined? Aggregation rules alone, on float32 updates that are in memory; no actors, no wire.

What is measured is `Fold.add` for every update of a round and `Fold.commit`, over as many threads as a controller folds with.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedactors.aggregation import Contribution, Fold, Rule
from fedactors.aggregation._scratch import forget
from fedactors.aggregation.lanes import Lanes, working_in
from fedactors.model import GlobalModel, Layout
from fedactors.task import TrainReport

ROUNDS = 5
"""The best of so many counts, after one that warms the memory."""

RESIDENT_BYTES_MAX = 2_000_000_000
"""Of updates that are arrays of their own; where there are more, arrays are sent again."""


@dataclass(frozen=True, slots=True)
class Combining:
    """What one measurement gave.

    Attributes:
        rule: its name.
        parameters: of the model.
        updates: in the round; at least as many as the rule needs.
        fold_ms: of each update, when it comes.
        commit_ms: when all are there.
        bytes_per_s: of updates, over the time of the whole round.
        bandwidth_share: that, as a share of the rate at which the same threads read memory.
        peak_models: the most memory that the rule needed, in models: the updates that it holds or looks at, its own, the result.
    """

    rule: str
    parameters: int
    updates: int
    fold_ms: float
    commit_ms: float
    bytes_per_s: float
    bandwidth_share: float
    peak_models: float


def measure(name: str, rule: Rule, parameters: int, updates: int, lanes: Lanes, read_bytes_per_s: float) -> Combining:
    """Combine rounds of so many updates, shared out over these lanes, which read memory at this rate."""
    layout = Layout.from_specs([("w", "float32", (parameters,))])
    current = GlobalModel(0, layout, _drawn(layout, 0))
    sent = _contributions(layout, max(updates, rule.updates_min), current)
    peak_models = (len(sent) if rule.keeps_updates else 1) + _peak_bytes(rule, sent, current) / layout.nbytes
    fold = rule.fold(layout)
    with working_in(lanes):
        _round_s(fold, sent, current)
        fold_s, commit_s = min((_round_s(fold, sent, current) for _ in range(ROUNDS)), key=sum)
    rate = len(sent) * layout.nbytes / (fold_s + commit_s)
    return Combining(
        name, parameters, len(sent), 1e3 * fold_s / len(sent), 1e3 * commit_s, rate, rate / read_bytes_per_s, peak_models
    )


def _round_s(fold: Fold, sent: Sequence[Contribution], current: GlobalModel) -> tuple[float, float]:
    start = time.perf_counter()
    for contribution in sent:
        fold.add(contribution)
    added = time.perf_counter()
    fold.commit(current)
    return added - start, time.perf_counter() - added


def _peak_bytes(rule: Rule, sent: Sequence[Contribution], current: GlobalModel) -> int:
    forget()
    tracemalloc.start()
    try:
        fold = rule.fold(current.layout)
        _round_s(fold, sent, current)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _contributions(layout: Layout, number: int, current: GlobalModel) -> list[Contribution]:
    """Of as many learners, with different factors."""
    apart = max(1, min(number, RESIDENT_BYTES_MAX // layout.nbytes))
    buffers = [_drawn(layout, 1 + index) for index in range(apart)]
    return [
        Contribution(
            f"learner-{index:05}",
            buffers[index % apart],
            1.0 + index,
            report=TrainReport(1 + index, num_batches=10),
            base=current.buffer,
        )
        for index in range(number)
    ]


def _drawn(layout: Layout, seed: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    weights = np.random.default_rng(seed).standard_normal(layout.num_parameters, np.float32)
    return layout.pack({"w": weights})
