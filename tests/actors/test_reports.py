"""Reports that an update cannot be weighed or combined by are refused by the learner's name; the others count."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors.record import Results


class Adding:
    """Adds 1, 2, 3 ...; the second one does not count its batches and has no quality."""

    num_train_examples = 10

    def __init__(self, context):
        self.step = np.float32(1 + context.index)

    def get_weights(self):
        return {"w": np.zeros(4, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        reported = {"num_batches": 2, "quality": float(self.step)} if self.step != 2 else {}
        return {"w": weights["w"] + self.step}, reported

    def evaluate(self, weights, params):
        return {"mean": weights["w"].mean()}


async def trained(aggregation: dict[str, Any]) -> Results:
    config = {"name": "reports", "seed": 3, "learners": {"count": 3}, "stop": {"rounds": 2}, "aggregation": aggregation}
    async with asyncio.timeout(60), Federation(config) as federation:
        for _ in range(3):
            federation.add_learner(Adding)
        return await federation.run()


@pytest.mark.parametrize(
    ("aggregation", "mean", "why"),
    [
        ({"rule": "fednova"}, 2 * (1 + 3) / 2, "fednova divides an update by its local steps, and the learner reports none"),
        ({"weighting": "metric:quality"}, 2 * (1 + 9) / 4, "weighted by metric 'quality', which the learner did not report"),
    ],
    ids=["fednova", "metric"],
)
async def test_an_update_without_the_numbers_that_it_counts_by_is_refused_and_the_others_count(aggregation, mean, why):
    results = await trained(aggregation)
    assert results.final.metrics["mean"] == pytest.approx(mean, rel=1e-6)
    for record in results.rounds:
        assert {name for name, part in record.learners.items() if part.refused} == {"learner-1"}
        assert why in record.learners["learner-1"].refused
