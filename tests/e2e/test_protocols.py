"""Every scheduling protocol from a configuration: one word switches.

One run has learners that are processes, over real gRPC, the others have them in threads; all have processes by `nox -s deep`.
"""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tests.e2e import support

pytestmark = pytest.mark.e2e

LEARNER = """
    import time
    import numpy as np

    class Paced:
        '''Every batch adds to the weights and takes its time; the learner with index 2 is the slow one.'''

        num_train_examples = 10

        def __init__(self, context):
            self.index = context.index
            fast_s, slow_s = context.options.get("batch_s", [0.005, 0.03])
            self.batch_s = slow_s if context.index == 2 else fast_s

        def get_weights(self):
            return {"w": np.zeros(8, np.float32)}

        def set_weights(self, weights):
            pass

        def train(self, weights, params):
            batches = params.steps or 4
            time.sleep(batches * self.batch_s)
            new = {"w": weights["w"] + np.float32(0.01 * batches)}
            timings = {"ms_per_batch": 1000.0 * self.batch_s, "ms_per_epoch": 4000.0 * self.batch_s}
            return new, {"num_batches": batches, "epochs": batches / 4, "loss": 1.0 + self.index, **timings}

        def evaluate(self, weights, params):
            return {"mean": float(weights["w"].mean()), "num_examples": 5}
"""

CONFIG = """
name = "paced"
seed = 1

[learners]
entry = "learner.py:Paced"
count = 3
options = {{ {learning} }}

[protocol]
name = "{protocol}"
options = {{ {options} }}

[selection]
policy = "{policy}"
options = {{ {selecting} }}

[stop]
rounds = {rounds}
{stop}
"""


def run(tmp_path, protocol, options="", *, rounds=4, policy="everyone", selecting="", stop="", learning="", processes=False):
    """A whole run; its results."""
    config = CONFIG.format(
        protocol=protocol, options=options, rounds=rounds, policy=policy, selecting=selecting, stop=stop, learning=learning
    )
    path = support.project(tmp_path, config, LEARNER)
    support.up(path, processes=processes)
    results = support.results(tmp_path / "run")
    assert [record["version"] for record in results["rounds"]] == list(range(1, len(results["rounds"]) + 1))
    assert results["final"]["metrics"]["mean"] > 0
    return results


def parts(results):
    """Every part of a learner in a round that counted."""
    for record in results["rounds"]:
        for learner, part in record["learners"].items():
            if part["batches"]:
                yield learner, part


def test_synchronous_keeps_late_updates(tmp_path):
    options = 'round_timeout_s = 0.6, min_updates = 2, late_updates = "keep"'
    results = run(tmp_path, "synchronous", options, rounds=2, learning="batch_s = [0.1, 0.2]")
    assert [set(record["cohort"]) for record in results["rounds"]] == [{"learner-0", "learner-1", "learner-2"}] * 2
    late = [part["staleness"] for learner, part in parts(results) if learner == "learner-2"]
    assert late == [1], "it was not in time for the first round, and counts in the second"


def test_semi_synchronous_gives_everybody_the_same_time(tmp_path):
    results = run(tmp_path, "semi_synchronous", "pace = 2.0", rounds=3)
    assert [part["batches"] for _, part in parts(results)] == [4, 4, 4, 48, 48, 8, 48, 48, 8]
    t_max_ms = 2.0 * 4 * 30.0
    assert math.ceil(t_max_ms / 5.0) == 48


def test_asynchronous_commits_every_update(tmp_path):
    results = run(tmp_path, "asynchronous", rounds=20)
    assert results["stop_reason"] == "round 20 is committed, the last of 20"
    assert all(len(record["cohort"]) == 1 for record in results["rounds"])
    times = Counter(record["cohort"][0] for record in results["rounds"])
    assert times["learner-2"] < min(times["learner-0"], times["learner-1"]), times
    assert any(part["staleness"] > 0 for _, part in parts(results))


def test_asynchronous_waits_for_the_slow_one_by_option(tmp_path):
    results = run(tmp_path, "asynchronous", 'max_staleness = 2, when_stale = "wait"', rounds=8)
    assert max(part["staleness"] for _, part in parts(results)) <= 2


def test_buffered_commits_every_few_updates(tmp_path):
    results = run(tmp_path, "buffered", "updates = 4", rounds=5, processes=True)
    assert len(results["rounds"]) == 5
    assert any(part["staleness"] > 0 for _, part in parts(results))


def test_asynchronous_run_stops_by_a_metric_while_learners_go_on(tmp_path):
    results = run(tmp_path, "asynchronous", rounds=500, stop='metric = { name = "mean", target = 0.3 }')
    assert "mean" in results["stop_reason"]
    assert 8 <= len(results["rounds"]) < 100


def test_selection_by_loss_comes_back_to_the_worst(tmp_path):
    results = run(tmp_path, "synchronous", rounds=5, policy="power_of_choice", selecting="count = 1, candidates = 3")
    cohorts = [record["cohort"][0] for record in results["rounds"]]
    assert sorted(cohorts[:3]) == ["learner-0", "learner-1", "learner-2"], "everybody is tried"
    assert cohorts[3:] == ["learner-2"] * 2, "its loss is the largest"


def test_asynchronous_learners_come_in_turn(tmp_path):
    results = run(tmp_path, "asynchronous", "concurrency = 1", rounds=6, policy="round_robin", selecting="count = 1")
    assert [record["cohort"][0] for record in results["rounds"]] == ["learner-0", "learner-1", "learner-2"] * 2
