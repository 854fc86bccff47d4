"""Differential privacy in whole federations: what is told of it, when it ends a run, and what a resumed run accounts."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors.dp.accountant import WithoutReplacement, epsilon
from fedactors.errors import ConfigError
from fedactors.journal import FileJournal, Opened
from fedactors.record import History, Results

LEARNERS = 3
PARAMETERS = 5_000
CENTRAL = {"mechanism": "central", "clip_norm": 1.0, "noise_multiplier": 3.0}


class Wild:
    """Goes far, always in the same direction."""

    num_train_examples = 10

    def __init__(self, context):
        self.step = np.float32(1 + context.index)

    def get_weights(self):
        return {"w": np.zeros(PARAMETERS, np.float32), "steps": np.zeros((), np.int64)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {"w": weights["w"] + self.step, "steps": weights["steps"] + 1}, {}

    def evaluate(self, weights, params):
        return {"mean": weights["w"].mean(), "num_examples": 1}


async def run(tables: dict[str, Any], journal: FileJournal | None = None) -> tuple[Results, dict[str, np.ndarray]]:
    config = {"name": "dp", "seed": 3, "learners": {"count": LEARNERS}, "stop": {"rounds": 4}, **tables}
    async with asyncio.timeout(60), Federation(config, journal=journal) as federation:
        for _ in range(LEARNERS):
            federation.add_learner(Wild)
        results = await (federation.run() if journal is None or journal.story.lives == 1 else followed(federation))
        return results, dict((await federation.model()).weights)


async def followed(federation: Federation) -> Results:
    """A run that goes on by itself."""
    history = History()
    async for event in federation.events():
        history.take(event)
    return history.results("dp", 3, None)


def spent(results: Results) -> list[float | None]:
    return [record.epsilon for record in results.rounds]


async def test_every_round_tells_what_has_been_spent():
    results, weights = await run({"dp": CENTRAL})
    assert spent(results) == [pytest.approx(epsilon(rounds, 3.0, 1e-5)) for rounds in (1, 2, 3, 4)]
    assert results.to_map()["rounds"][3]["epsilon"] == results.rounds[3].epsilon
    assert weights["steps"] == 0, "integers are not released"
    deviation = np.sqrt(4) * 3.0 / LEARNERS
    assert np.std(weights["w"]) == pytest.approx(deviation, rel=0.1)


async def test_without_privacy_nothing_is_spent():
    results, _ = await run({})
    assert spent(results) == [None] * 4


async def test_a_run_stops_before_the_round_that_would_exceed_its_budget():
    limit = (epsilon(2, 3.0, 1e-5) + epsilon(3, 3.0, 1e-5)) / 2
    results, _ = await run({"dp": {**CENTRAL, "epsilon_max": limit}, "stop": {"rounds": 100}})
    assert len(results.rounds) == 2
    assert results.stop_reason.startswith("privacy budget: epsilon is ")
    assert not results.failed


async def test_a_buffered_run_stops_at_its_budget_too():
    limit = (epsilon(3, 3.0, 1e-5) + epsilon(4, 3.0, 1e-5)) / 2
    buffered = {"name": "buffered", "options": {"updates": 2}}
    results, _ = await run({"dp": {**CENTRAL, "epsilon_max": limit}, "protocol": buffered, "stop": {"rounds": 100}})
    assert [record.version for record in results.rounds] == [1, 2, 3]
    assert results.stop_reason.startswith("privacy budget")


async def test_a_secret_draw_follows_from_no_seed_that_learners_know():
    uniform = {"policy": "uniform", "options": {"count": 1}}
    cohorts = set()
    for seed in (1, 2):
        results, _ = await run({"dp": {**CENTRAL, "amplification": True, "sampling_seed": seed}, "selection": uniform})
        assert spent(results)[-1] == pytest.approx(epsilon(4, 3.0, 1e-5, WithoutReplacement(1 / 3)))
        cohorts.add(tuple(record.cohort for record in results.rounds))
    assert len(cohorts) == 2


LOCAL = {**CENTRAL, "mechanism": "local"}


async def test_learners_add_the_noise_themselves_and_report_what_they_have_spent():
    results, weights = await run({"dp": LOCAL, "aggregation": {"rule": "trimmed_mean", "options": {"trim": 0.34}}})
    assert spent(results) == [pytest.approx(epsilon(rounds, 1.5, 1e-5)) for rounds in (1, 2, 3, 4)]
    parts = results.rounds[3].learners.values()
    assert [part.train_metrics["epsilon"] for part in parts] == [pytest.approx(epsilon(4, 1.5, 1e-5))] * LEARNERS
    assert np.std(weights["w"]) > np.sqrt(4) * 3.0 / LEARNERS


async def test_a_run_of_learners_that_protect_themselves_stops_at_its_budget():
    limit = (epsilon(2, 1.5, 1e-5) + epsilon(3, 1.5, 1e-5)) / 2
    results, _ = await run({"dp": {**LOCAL, "epsilon_max": limit}, "stop": {"rounds": 100}})
    assert len(results.rounds) == 2
    assert results.stop_reason.startswith("privacy budget")


def resumable(path: Path, rounds: int, **dp: Any) -> dict[str, Any]:
    return {
        "dp": {**CENTRAL, "adaptive": {"count_noise": 9.0}, "noise_seed": 1, **dp},
        "stop": {"rounds": rounds},
        "store": {"url": f"file://{path / 'store'}"},
    }


async def resumed(path: Path, first: dict[str, Any], then: dict[str, Any]) -> tuple[Results, dict[str, np.ndarray]]:
    opened = Opened("dp", 3, {})
    with closing(FileJournal(path / "journal", opened)) as journal:
        await run(first, journal)
    with closing(FileJournal(path / "journal", opened, resume=True)) as journal:
        return await run(then, journal)


async def test_a_resumed_run_has_spent_what_one_without_a_break_has(tmp_path):
    (tmp_path / "whole").mkdir()
    whole, weights = await run(resumable(tmp_path / "whole", 4))
    again, same = await resumed(tmp_path, resumable(tmp_path, 2), resumable(tmp_path, 4))
    assert spent(again) == spent(whole)
    assert np.array_equal(weights["w"], same["w"]), "the clip norm went on from where it was"


async def test_a_resumed_run_stops_at_the_same_budget(tmp_path):
    limit = (epsilon(3, 3.0, 1e-5) + epsilon(4, 3.0, 1e-5)) / 2
    results, _ = await resumed(tmp_path, resumable(tmp_path, 2), resumable(tmp_path, 100, epsilon_max=limit))
    assert len(results.rounds) == 3
    assert results.stop_reason.startswith("privacy budget")


async def test_noise_that_is_new_each_time_is_new_in_a_resumed_run(tmp_path):
    secure = {"noise_seed": None}
    results = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        first, then = (resumable(tmp_path / name, rounds, **secure) for rounds in (1, 2))
        _, weights = await resumed(tmp_path / name, first, then)
        results.append(weights["w"])
    assert not np.array_equal(*results)


@pytest.mark.parametrize("changed", [{"noise_multiplier": 4.0}, {"delta": 1e-6}])
async def test_rounds_are_not_accounted_with_noise_that_they_did_not_have(tmp_path, changed):
    with pytest.raises(ConfigError, match="leave mechanism, noise_multiplier, delta and amplification of"):
        await resumed(tmp_path, resumable(tmp_path, 2), resumable(tmp_path, 4, **changed))


async def test_a_run_without_noise_does_not_become_a_private_one(tmp_path):
    plain = {key: value for key, value in resumable(tmp_path, 2).items() if key != "dp"}
    with pytest.raises(ConfigError, match="round 2 ended with without an epsilon and epsilon"):
        await resumed(tmp_path, plain, resumable(tmp_path, 4))
