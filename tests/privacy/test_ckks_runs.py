"""Federations whose versions are sealed, against the same ones in the clear."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors import config as configuration
from fedactors.errors import ConfigError, FederationFailed
from fedactors.learner.desk import Update
from fedactors.learner.spool import Spool
from fedactors.learner.worker import Worker
from fedactors.model import GlobalModel
from fedactors.privacy.ckks_layout import is_sealed
from fedactors.simulation import simulate
from fedactors.simulation.population import Population
from fedactors.task import TrainReport
from tests.privacy import sealed

LEARNERS = 4


class Drifting:
    """Moves towards a point of its own; counts its trainings in an integer, and keeps a tensor to itself."""

    def __init__(self, context):
        self.index = context.index
        self.num_train_examples = 10 + 30 * context.index
        self.num_test_examples = 5
        self.goal = np.random.default_rng(context.index).normal(size=(60, 90)).astype(np.float32)

    def get_weights(self):
        return {"w": np.zeros((60, 90), np.float32), "own": np.full(3, self.index, np.float32), "seen": np.zeros(2, np.int64)}

    def set_weights(self, weights):
        assert list(weights) == ["w", "own", "seen"]

    def train(self, weights, params):
        assert weights["own"][0] == self.index
        moved = weights["w"] + np.float32(0.3) * (self.goal - weights["w"])
        return {"w": moved, "own": weights["own"], "seen": weights["seen"] + 7}, {"loss": 1.0}

    def evaluate(self, weights, params):
        return {"far": float(np.abs(weights["w"] - self.goal).mean())}


def config(**tables: Any) -> dict[str, Any]:
    return {
        "seed": 5,
        "learners": {"count": LEARNERS},
        "model": {"local": ["own"]},
        "secure": {"method": "ckks"},
        "stop": {"rounds": 3},
        "aggregation": {"deterministic": True},
        **tables,
    }


async def run(learner: Any = Drifting, keys: Any = None, **tables: Any):
    """The results and the final model of a run in this process, as it is kept."""
    given = config(**tables)
    key = sealed.key() if given["secure"] else None
    async with Federation(given) as federation:
        for index in range(LEARNERS):
            federation.add_learner(learner, key=key if keys is None else keys[index])
        results = await asyncio.wait_for(federation.run(), 60)
        return results, await federation.model()


def opened(model: GlobalModel) -> GlobalModel:
    return sealed.key().opened(model)


PROTOCOLS = {
    "synchronous": {"name": "synchronous"},
    "semi_synchronous": {"name": "semi_synchronous"},
    "buffered": {"name": "buffered", "options": {"updates": LEARNERS}},
}


async def test_a_sealed_federation_goes_the_way_of_a_plain_one():
    plain_results, plain = await run(secure={})
    results, model = await run()
    assert is_sealed(model.layout)
    np.testing.assert_allclose(opened(model).weights["w"], plain.weights["w"], atol=1e-6)
    np.testing.assert_array_equal(opened(model).weights["seen"], [21, 21])
    for record, expected in zip(results.rounds, plain_results.rounds, strict=True):
        assert record.metrics["far"] == pytest.approx(expected.metrics["far"], abs=1e-6)
        assert record.totals.accepted == LEARNERS


@pytest.mark.parametrize("protocol", ["semi_synchronous", "buffered"])
async def test_other_protocols_learn_under_seal_too(protocol):
    results, model = await run(protocol=PROTOCOLS[protocol], evaluate={"every": 3})
    assert len(results.rounds) == 3
    assert opened(model).weights["seen"][0] > 0
    assert results.rounds[-1].metrics["far"] < 1.2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_virtual_learners_seal_as_others_do(protocol):
    tables = config(protocol=PROTOCOLS[protocol])
    simulated = simulate(configuration.from_mapping(tables), Population(), entry=Drifting)
    assert len(simulated.results.rounds) == 3
    assert simulated.results.rounds[-1].metrics["far"] < 1.2


def test_virtual_learners_that_only_take_time_carry_ciphertexts_without_a_key():
    simulated = simulate(configuration.from_mapping(config(model={})), Population(), parameters=10_000)
    assert len(simulated.results.rounds) == 3
    assert simulated.results.rounds[0].totals.bytes_up > LEARNERS * 16 * 10_000


async def test_a_learner_without_a_key_takes_no_part(caplog):
    with pytest.raises(FederationFailed):
        await run(keys=[None] * LEARNERS, learners={"count": LEARNERS, "join_timeout_s": 0.5})
    assert "the federation seals its models by 'ckks': give this learner the federation's key" in caplog.text


async def test_a_learner_with_a_key_shows_its_weights_to_no_federation_that_does_not_seal(caplog):
    with pytest.raises(FederationFailed):
        await run(keys=[sealed.key()] * LEARNERS, secure={}, learners={"count": LEARNERS, "join_timeout_s": 0.5})
    assert "its weights would go out in the clear" in caplog.text


async def test_a_learner_with_another_key_gives_nothing_that_counts():
    keys = [sealed.key()] * (LEARNERS - 1) + [sealed.stranger()]
    protocol = {"name": "synchronous", "options": {"min_updates": 3}}
    results, _ = await run(keys=keys, protocol=protocol)
    refused = {learner: part.refused for record in results.rounds for learner, part in record.learners.items() if part.refused}
    assert len(refused) == 1
    assert "the model is sealed with the CKKS key" in next(iter(refused.values()))


async def test_weights_out_of_range_are_a_learner_s_failure_with_the_remedy():
    class Great(Drifting):
        def train(self, weights, params):
            return {**weights, "w": np.full_like(weights["w"], 1e6)}, {}

    with pytest.raises(FederationFailed, match="tensor 'w' holds a value of magnitude 1e\\+06, and CKKS seals up to 32768"):
        await run(Great, protocol={"name": "synchronous", "options": {"max_failed_rounds": 1}})


async def test_factors_out_of_range_end_the_run_with_the_remedy():
    with pytest.raises(FederationFailed, match=r"write the mean factor of an update as secure\.options\.reference"):
        await run(
            secure={"method": "ckks", "options": {"reference": 1e6}},
            protocol={"name": "synchronous", "options": {"max_failed_rounds": 1}},
        )


UNSOUND = [
    ({"aggregation": {"rule": "median"}}, "ckks adds ciphertexts up, and median compares the updates of a round"),
    ({"aggregation": {"rule": "krum"}, "learners": {"count": 10}}, "krum compares the updates of a round"),
    ({"aggregation": {"rule": "fedadam"}}, "fedadam steps along what was combined, which it would have to read"),
    (
        {"aggregation": {"rule": "scaffold"}, "train": {"learning_rate": 0.1}},
        "scaffold gives the model and its control variates shares of their own",
    ),
    ({"aggregation": {"rule": "fednova"}}, "fednova is not the plain weighted mean"),
    ({"aggregation": {"rule": "fedbuff"}, "protocol": PROTOCOLS["buffered"]}, "fedbuff is not the plain weighted mean"),
    ({"aggregation": {"clip_norm": 1.0}}, "the norm of an update that is sealed cannot be measured"),
    ({"aggregation": {"discount": "hinge"}}, "an update's share is sealed with it, before anybody knows how stale"),
    ({"aggregation": {"refuse_not_finite": False}}, "NaN and infinities cannot be sealed"),
    ({"model": {"frozen": ["seen"]}}, "the controller cannot keep some of them as they are: name those in model.local"),
    ({"initial": "file:start.safetensors"}, "would show version 0 to the controller"),
    ({"compression": {"updates": "bf16"}}, "ckks adds up what it cannot read"),
    (
        {"dp": {"mechanism": "central", "clip_norm": 1.0, "noise_multiplier": 1.0}},
        "the controller cannot clip what secure.method = 'ckks' keeps from it",
    ),
    ({"secure": {"method": "ckks", "options": {"preset": "slow"}}}, "preset"),
    ({"secure": {"method": "ckks", "options": {"reference": 0.0}}}, "give the mean factor that is expected"),
    ({"secure": {"method": "paillier"}}, "no method of secure aggregation named 'paillier'"),
]


@pytest.mark.parametrize(("tables", "said"), UNSOUND, ids=[said[:50] for _, said in UNSOUND])
def test_what_cannot_be_sealed_is_refused_with_the_reason(tables, said):
    with pytest.raises(ConfigError) as caught:
        configuration.from_mapping(config(**tables))
    assert said in str(caught.value)


def test_buffered_takes_the_plain_mean_where_no_rule_is_named():
    assert configuration.from_mapping(config(protocol=PROTOCOLS["buffered"])).aggregation.rule == "fedavg"


@pytest.mark.parametrize(
    ("tables", "updates"),
    [
        ({}, 4),
        ({"protocol": {"name": "buffered", "options": {"updates": 2}}}, 2),
        ({"selection": {"policy": "uniform", "options": {"count": 3}}}, 3),
    ],
)
def test_learners_are_told_how_many_updates_a_sum_has(tables, updates):
    spec = configuration.sealing_spec(configuration.from_mapping(config(**tables)))
    assert spec.options == {"preset": "precise", "reference": None, "updates": updates}
    assert spec.weighting == "examples"


def test_a_sealed_update_waits_in_the_spool_as_any_other(tmp_path):
    learner = sealed.sealing()
    base = sealed.version_0({"w": np.ones(5000, np.float32)}, learner)
    buffer = base.layout.pack(learner.update({"w": np.full(5000, 2, np.float32)}, 1.0, base))
    Spool(tmp_path).keep(Update("t", base.layout, buffer, TrainReport(1), layout_known=True))
    (kept,) = Spool(tmp_path).updates()
    assert kept.layout == base.layout
    np.testing.assert_allclose(learner.opened(GlobalModel(1, kept.layout, kept.buffer)).weights["w"], 2, rtol=1e-6)


async def test_the_event_loop_goes_on_while_a_learner_seals():
    """Half a million parameters take a quarter of a second; TenSEAL gives the interpreter's lock back every millisecond."""
    learner, weights = sealed.sealing(), {"w": np.ones(500_000, np.float32)}
    worker, turns = Worker("sealing"), 0
    sealing = asyncio.ensure_future(worker(lambda: learner.initial(weights, 1)))
    while not sealing.done():
        await asyncio.sleep(0.005)
        turns += 1
    worker.stop()
    assert turns > 10
