"""More of what docs/ray.md says, each on hosts of its own, which takes Ray a while: run by `nox -s cluster`."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from fedactors import Federation
from fedactors.errors import FederationFailed, LearnerFailed
from fedactors.privacy.ckks_key import CkksKey
from fedactors.ray import hosts
from tests.ray.test_on_a_cluster import NODE, Steady, cluster, contributors, run, tables, until

__all__ = ["cluster"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


class Corrected(Steady):
    """Steady steps from where SCAFFOLD's correction puts it."""

    def train(self, weights, params):
        if params.correction is not None:
            weights = {name: weights[name] - params.correction[name] for name in weights}
        return super().train(weights, params)


CONTRACTS = {
    "compressed": {"compression": {"updates": "top_k"}, "model": {"local": ["own"]}},
    "corrected": {"aggregation": {"rule": "scaffold"}, "train": {"learning_rate": 0.5}},
    "masked": {"secure": {"method": "masking"}, "protocol": {"options": {"min_updates": 3}}},
}


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_on_ray_what_surrounds_learners_is_as_in_this_process(cluster, contract):
    there, here = [await run(tables(where, **CONTRACTS[contract]), Corrected) for where in (cluster, None)]
    assert there.final.sha256 == here.final.sha256
    assert there.final.metrics == here.final.metrics


async def test_a_host_that_dies_of_a_learner_is_replaced(cluster):
    options = {"disturbed": 2, "fails": "train"}
    found = await run(tables(cluster, learners={"options": options}), Steady)
    assert "learner-0" not in contributors(found.rounds[1])
    assert {"learner-1", "learner-3"} <= contributors(found.rounds[1])
    assert len(contributors(found.rounds[2])) == 4


async def test_when_no_host_is_left_the_run_ends_with_one_line(cluster, monkeypatch):
    """Only a node that goes had what they need."""
    large = cluster.add_node(**{**NODE, "num_cpus": 3})
    config = tables(cluster, stop={"rounds": 1000})
    config["ray"]["cpus_per_learner"] = 3
    async with Federation(config) as federation:
        for _ in range(4):
            federation.add_learner(Steady)
        running = asyncio.create_task(federation.run())
        try:
            await until(lambda: any(host.is_ready.is_set() for host in federation._ray._hosts._refs.values()))
        finally:
            monkeypatch.setattr(hosts, "READY_TIMEOUT_S", 2.0)
            await asyncio.to_thread(cluster.remove_node, large)
        with pytest.raises(
            FederationFailed, match=r"no Ray host .*ray.cpus_per_learner = 3: no node of the Ray cluster has that"
        ):
            await running


async def test_a_learner_that_cannot_be_made_ends_the_run_with_its_own_words(cluster):
    with pytest.raises(LearnerFailed, match="Steady could not be made: ValueError: no data here"):
        await run(tables(cluster, learners={"options": {"fails": "made"}}), Steady)


async def test_sealed_models_are_opened_and_sealed_on_hosts(cluster):
    """Within what the preset promises, 1e-5, of the same learners' plain mean."""
    models = []
    for sealed in ({}, {"secure": {"method": "ckks"}}):
        key = CkksKey.draw("precise") if sealed else None
        async with Federation(tables(cluster, stop={"rounds": 1}, **sealed)) as federation:
            for _ in range(4):
                federation.add_learner(Steady, key=key)
            await federation.run()
            version = await federation.model()
        models.append(version.weights if key is None else key.opened(version).weights)
    for name, array in models[0].items():
        np.testing.assert_allclose(models[1][name], array, atol=1e-5)
