"""Federations whose learners work on a Ray cluster of two nodes, all on this machine: what docs/ray.md says of them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from fedactors import Federation
from fedactors import config as configuration
from fedactors.errors import ConfigError

pytest.importorskip("ray")

from ray._raylet import AuthenticationTokenLoader, Config
from ray.cluster_utils import Cluster

from fedactors.ray import shards
from fedactors.ray.code import travelling_entry
from tests.actors.test_sharded_runs import trained

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180), pytest.mark.xdist_group("ray")]

EXAMPLES = Path(__file__).parents[2] / "examples"
NODE = {"num_cpus": 1, "node_ip_address": "127.0.0.2", "include_dashboard": False, "object_store_memory": 2**27}


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with a CPU each; the tests' own process is on the first."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "only for this cluster")
    Config.initialize("")  # Ray reads its settings as it is imported
    AuthenticationTokenLoader.instance().reset_cache()
    nodes = Cluster(initialize_head=True, head_node_args=NODE)
    nodes.add_node(**NODE)
    yield nodes
    nodes.shutdown()
    monkeypatch.undo()
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


class Steady:
    """Takes steps of its own; says on which node it is, and whether what it was given is a view of the object store."""

    num_train_examples = 10

    def __init__(self, context):
        import ray

        self.context, self.trainings = context, 0
        self.node = int(ray.get_runtime_context().get_node_id()[:8], 16) if ray.is_initialized() else 0
        if context.options.get("fails") == "made":
            raise ValueError("no data here")

    def get_weights(self):
        return {"w": np.zeros((40, 30), np.float32), "own": np.zeros(3, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        self.trainings += 1
        self.wait(params.round)
        views = all(not array.flags.writeable and not array.flags.owndata for array in weights.values())
        rng = np.random.default_rng([params.seed, self.context.index])
        new = {name: array + rng.normal(size=array.shape).astype(array.dtype) for name, array in weights.items()}
        return new, {"num_batches": 2, "views": views, "trainings": self.trainings, "node": self.node}

    def wait(self, round_):
        """In the round that is to be disturbed: say that training has begun, and wait, or die."""
        options = self.context.options
        if options.get("disturbed") != round_:
            return
        if options.get("fails") == "train" and self.context.index == 0:
            os._exit(1)
        if options.get("fails") != "node":
            return
        begun = Path(options["place"]) / f"{self.context.id} has begun"
        begun.touch()
        while not (begun.parent / "go on").exists():
            import time

            time.sleep(0.05)

    def evaluate(self, weights, params):
        return {"num_examples": 1, "mean": float(weights["w"].mean())}


def tables(cluster, **more):
    return {
        "name": "steady",
        "seed": 5,
        "learners": {"count": 4, "join_timeout_s": 60.0, **more.pop("learners", {})},
        "stop": {"rounds": 3},
        "runtime": {"engine": "ray" if cluster else "local"},
        "ray": {"address": cluster.address} if cluster else {},
        **more,
    }


async def run(config, entry):
    """A federation's results with the digest of its final model."""
    async with Federation(config) as federation:
        for _ in range(federation.config.learners.count):
            federation.add_learner(entry)
        return await federation.run()


async def test_on_ray_learners_come_to_the_same_bits_as_in_this_process(cluster):
    there, here = [await run(tables(where), Steady) for where in (cluster, None)]
    assert there.final.sha256 == here.final.sha256
    assert there.final.metrics == here.final.metrics
    parts = [part.train_metrics for round_ in there.rounds for part in round_.learners.values()]
    assert {part["views"] for part in parts} == {1.0}
    assert len({part["node"] for part in parts}) == 2


async def test_the_quickstart_runs_unchanged(cluster):
    files = EXAMPLES / "quickstart" / "federation.toml"
    ends = []
    for settings in ([f"ray.address={cluster.address}", "runtime.engine=ray"], []):
        config = configuration.read(files, ["stop.rounds=3", *settings])
        ends.append((await run(config, configuration.load_entry(config))).final)
    assert ends[0].sha256 == ends[1].sha256
    assert ends[0].metrics["accuracy"] > 0.9


@pytest.mark.filterwarnings("default")  # what libraries say of so little training, or of themselves
async def test_fashion_mnist_runs_unchanged(cluster):
    settings = ["learners.count=2", "learners.options.images=200", "train.batch_size=8", "stop.rounds=4"]
    on_ray = [f"ray.address={cluster.address}", "runtime.engine=ray"]
    config = configuration.read(EXAMPLES / "fashion_mnist" / "federation.toml", [*settings, *on_ray])
    found = await run(config, travelling_entry(config))
    assert found.rounds[0].metrics["accuracy"] < found.rounds[-1].metrics["accuracy"]
    assert 0.4 < found.rounds[-1].metrics["accuracy"] < 0.9


def contributors(round_):
    return {learner for learner, part in round_.learners.items() if part.contributed}


async def until(condition):
    async with asyncio.timeout(120.0):
        while not condition():  # noqa: ASYNC110  # it comes true in another process
            await asyncio.sleep(0.05)


async def test_a_node_that_is_removed_costs_its_learners_their_round(cluster, tmp_path, caplog):
    """A third node has room for a third host, and goes while that is at work; those who wait for their turn go elsewhere."""
    third = cluster.add_node(**NODE)
    options = {"disturbed": 2, "fails": "node", "place": str(tmp_path)}
    config = tables(cluster, learners={"count": 6, "options": options})
    async with Federation(config) as federation:
        for _ in range(6):
            federation.add_learner(Steady)
        running = asyncio.create_task(federation.run())
        await until(lambda: len(list(tmp_path.glob("*begun"))) == 3)
        await asyncio.to_thread(cluster.remove_node, third)
        (tmp_path / "go on").touch()
        rounds = (await running).rounds
    assert [len(contributors(round_)) for round_ in rounds] == [6, 4, 6]
    lost = {f"learner-{index}" for index in range(6)} - contributors(rounds[1])
    trainings = {learner: part.train_metrics["trainings"] for learner, part in rounds[2].learners.items()}
    assert trainings == {learner: 1.0 if learner in lost else 3.0 for learner in trainings}


async def test_needs_that_no_node_meets_are_refused_at_once(cluster):
    config = tables(cluster)
    config["ray"]["gpus_per_learner"] = 1
    with pytest.raises(ConfigError, match=r"ray.gpus_per_learner = 1: no node of the Ray cluster has that \(127.0.0.2: 1 CPUs"):
        await run(config, Steady)


async def test_shards_of_a_model_on_ray_come_to_the_same_bits(cluster, monkeypatch):
    """As without Ray, and without shards."""
    made, original = [], shards._made
    monkeypatch.setattr(shards, "_made", lambda *arguments: made.append(arguments) or original(*arguments))
    aggregation = {"rule": "fedadam", "combine": "fednova"}  # it keeps something from round to round, and needs bases
    on_ray = {"runtime": {"engine": "ray"}, "ray": {"address": cluster.address, "cpus_per_learner": 0.1}}
    _, here = await trained(1, aggregation)
    _, there = await trained(2, aggregation, **on_ray)
    assert there == here
    assert len(made) == 2
