"""Whole federations of which a part of the model stays at home, or as it was."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors import config as configuration
from fedactors.errors import FederationFailed
from fedactors.simulation import simulate
from fedactors.simulation.population import Population


class Homely:
    """Adds its share to every tensor; "norm" is to be its own, and counts its trainings in its own steps."""

    num_train_examples = num_test_examples = 10

    def __init__(self, context):
        self.step = np.float32(1 + context.index)

    def get_weights(self):
        return {"w": np.zeros(3, np.float32), "norm": np.zeros(2, np.float32), "embed": np.full(2, 7, np.int64)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        assert list(weights) == ["w", "norm", "embed"]
        return {name: (array + self.step).astype(array.dtype) for name, array in weights.items()}, {}

    def evaluate(self, weights, params):
        return {"norm": weights["norm"][0], "w": weights["w"][0], "embed": weights["embed"][0]}


MODEL = {"local": ["norm"], "frozen": ["embed"]}


def config(**tables: Any) -> dict[str, Any]:
    return {"seed": 3, "learners": {"count": 3}, "stop": {"rounds": 3}, "model": MODEL, **tables}


async def run(**tables: Any):
    """The results and the final model of a run."""
    async with Federation(config(**tables)) as federation:
        for _ in range(3):
            federation.add_learner(Homely)
        results = await asyncio.wait_for(federation.run(), 60)
        return results, await federation.model()


@pytest.mark.parametrize("rule", ["fedavg", "median", "fedrec"])
async def test_what_is_local_stays_and_what_is_frozen_does_not_move(rule):
    results, model = await run(aggregation={"rule": rule})
    weights = {name: array.tolist() for name, array in model.weights.items()}
    assert weights == {"w": [6.0] * 3, "embed": [7, 7]}, "a mean step of 2 in each of 3 rounds"
    assert results.final.metrics == {"norm": 6.0, "w": 6.0, "embed": 7.0}, "each learner's own went its own way: 3, 6 and 9"


def test_virtual_learners_keep_theirs_too():
    simulated = simulate(configuration.from_mapping(config()), Population(), entry=Homely)
    assert simulated.results.rounds[-1].metrics == {"norm": 6.0, "w": 6.0, "embed": 7.0}


def test_virtual_learners_that_only_take_time_have_no_tensors_that_patterns_speak_of():
    patterns = {"shared": ["*lora*"], "frozen": ["embed"]}
    assert len(simulate(configuration.from_mapping(config(model=patterns)), Population()).results.rounds) == 3


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            {"shared": ["lora*"]},
            "no tensor travels with model.shared = ['lora*'] and model.local = []; the model has w, norm, embed",
        ),
        (
            {"frozen": ["w", "[en]*"]},
            "every tensor that travels is frozen by model.frozen = ['w', '[en]*'], so that nothing can be",
        ),
    ],
    ids=str,
)
async def test_a_federation_in_which_nothing_can_be_learnt_says_so(model, said):
    with pytest.raises(FederationFailed) as caught:
        await run(model=model)
    assert said in str(caught.value)


async def test_patterns_that_match_nothing_are_warned_of(caplog):
    await run(model={"local": ["norms"], "frozen": ["embedding"]})
    warned = [record.msg for record in caplog.records if record.msg["event"] == "pattern_matches_nothing"]
    assert {(entry["key"], entry["pattern"]) for entry in warned} == {("model.local", "norms"), ("model.frozen", "embedding")}
