"""Every family of aggregation rules from a configuration, against its paper.

A synchronous run and one that streams have learners that are processes, over real gRPC; all have them by `nox -s deep`.

The news of a run say whose update counted in which round and from which version it came. Training is a function of the weights
alone, so the oracle trains the same learners again and combines what they send by the paper's formula.
"""

from __future__ import annotations

import asyncio
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from fedactors import Federation
from fedactors import config as configuration
from fedactors.aggregation import Contribution, Weighting
from fedactors.config import Config
from fedactors.learner import LearnerContext
from fedactors.model import Layout
from fedactors.task import TrainReport
from tests.aggregation.layouts import agrees, rounded
from tests.aggregation.oracles import Oracle
from tests.e2e import support

pytestmark = pytest.mark.e2e

LEARNER = """
    import time
    import numpy as np

    class Pulled:
        '''Goes halfway to weights of its own, and farther for every batch; the learner with index 0 may lie.'''

        def __init__(self, context):
            self.index, self.options = context.index, context.options
            self.num_train_examples = 10 * (1 + context.index)
            rng = np.random.default_rng(context.index)
            self.wanted = {"w": rng.normal(size=(5, 3)), "d": rng.normal(size=7), "n": rng.integers(0, 1000, 4)}

        def get_weights(self):
            return {"w": np.ones((5, 3), np.float32), "d": np.ones(7), "n": np.zeros(4, np.int64)}

        def set_weights(self, weights):
            pass

        def train(self, weights, params):
            time.sleep(self.options.get("sleep_s", 0.0) * (1 + self.index))
            part = 1 - 0.5 ** (1 + self.index)
            new = {name: w + part * (self.wanted[name] - w.astype(np.float64)) for name, w in weights.items()}
            if self.options.get("liar") and self.index == 0:
                new = {name: -50.0 * value for name, value in new.items()}
            return {name: value.astype(weights[name].dtype) for name, value in new.items()}, {"num_batches": 1 + self.index}

        def evaluate(self, weights, params):
            return {"mean": float(weights["w"].mean())}
"""

CASES = {
    "plain, clipped": {"aggregation": {"rule": "fedstride", "options": {"stride": 1}, "clip_norm": 2.0}},
    "normalised": {"aggregation": {"rule": "fednova", "options": {"momentum": 0.5}}},
    "recency": {"protocol": {"name": "asynchronous"}, "aggregation": {"rule": "fedrec", "discount": "polynomial"}},
    "asynchronous": {"protocol": {"name": "asynchronous"}, "aggregation": {"discount": "hinge", "discount_options": {"b": 0}}},
    "buffered": {"protocol": {"name": "buffered", "options": {"updates": 3}}, "aggregation": {"discount": "polynomial"}},
    "server optimiser, coordinate-wise": {
        "learners": 3,
        "aggregation": {"rule": "fedadam", "options": {"tau": 0.1}, "combine": "trimmed_mean", "combine_options": {"trim": 0.34}},
    },
    "by distance": {"learners": 5, "aggregation": {"rule": "krum"}},
    "geometric median": {"learners": 3, "aggregation": {"rule": "geometric_median"}},
}

PROCESSES = {"plain, clipped", "buffered"}


def table(case: dict[str, Any]) -> dict[str, Any]:
    """A case as a configuration: two rounds, six where nobody is waited for; two learners, or more, of which the first lies."""
    protocol, count = case.get("protocol", {"name": "synchronous"}), case.get("learners", 2)
    streams = protocol["name"] != "synchronous"
    return {
        "name": "rules",
        "seed": 1,
        "learners": {
            "entry": "learner.py:Pulled",
            "count": count,
            "options": {"sleep_s": 0.02 if streams else 0.0, "liar": count > 2},
        },
        "protocol": protocol,
        "aggregation": case["aggregation"],
        "stop": {"rounds": 6 if streams else 2},
    }


def learners(config: Config) -> dict[str, Any]:
    """The same learners once more, here."""
    code: dict[str, Any] = {}
    exec(dedent(LEARNER), code)
    count, options = config.learners.count, config.learners.options
    return {
        f"learner-{index}": code["Pulled"](LearnerContext(f"learner-{index}", index, count, config.seed, options))
        for index in range(count)
    }


class Replay:
    """A run once more: the learners train from the versions they had, and the oracle combines."""

    def __init__(self, config: Config) -> None:
        self.learners = learners(config)
        first = self.learners["learner-0"].get_weights()
        self.layout = Layout.of(first)
        self.versions = [self.layout.pack(first)]
        self.weighting, self.discount = Weighting(config.aggregation.weighting), configuration.build_discount(config)
        self.oracle = Oracle(configuration.build_rule(config), self.layout)

    def update(self, learner: str, staleness: int) -> Contribution:
        """What that learner sent, started from the version of then."""
        base, trains = self.versions[-1 - staleness], self.learners[learner]
        weights, metrics = trains.train(self.layout.views(base), None)
        report = TrainReport(trains.num_train_examples, metrics["num_batches"])
        discount = self.discount.factor(staleness)
        factor = self.weighting.factor(report) * discount
        return Contribution(learner, self.layout.pack(weights), factor, staleness, discount, report, base)

    def round(self, accepted: list[tuple[str, int]]) -> dict[str, np.ndarray]:
        """The next version, unrounded, of these (learner, staleness) pairs; a seeded run folds in the order of the learners."""
        sent = [self.update(*one) for one in sorted(accepted, key=lambda one: (one[0], -one[1]))]
        expected = self.oracle.expected(sent, self.versions[-1])
        self.versions.append(rounded(self.layout, expected))
        return expected


@pytest.mark.parametrize("case", CASES)
def test_a_run_comes_to_what_the_paper_says(tmp_path, case):
    config = configuration.from_mapping({**table(CASES[case]), "base_dir": str(tmp_path)})
    path = support.project(tmp_path, configuration.to_toml(config), LEARNER)
    support.up(path, processes=case in PROCESSES)
    accepted = [event for event in support.events(tmp_path / "run") if event["kind"] == "update_accepted"]
    replay = Replay(config)
    for number in range(1, config.stop.rounds + 1):
        expected = replay.round([(one["learner"], one["staleness"]) for one in accepted if one["round"] == number])
    found = replay.layout.pack(safetensors.numpy.load_file(tmp_path / "run" / "model.safetensors"))
    agrees(replay.layout, found, expected, relative=1e-5)
    if config.protocol.name == "synchronous":
        assert support.results(tmp_path / "run")["final"]["sha256"] == asyncio.run(in_process(config))
    else:
        assert any(one["staleness"] > 0 for one in accepted), "somebody is behind, and counts less"


async def in_process(config: Config) -> str:
    """The digest of the model that the same federation comes to within this process."""
    async with asyncio.timeout(30), Federation(config, addresses=[]) as federation:
        for name, learner in learners(config).items():
            federation.add_learner(learner, id=name)
        return (await federation.run()).final.sha256
