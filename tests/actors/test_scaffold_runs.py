"""SCAFFOLD through whole federations, against Algorithm 1 of its paper in float64, trajectory by trajectory."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors import config as configuration
from fedactors.errors import ConfigError
from fedactors.simulation import simulate
from fedactors.simulation.population import Population

LEARNERS, SIZE, RATE = 5, 4, 0.05


class Problem:
    """Learner i's least squares |A w - b|^2 / 2n: the learners' own optima lie far apart, and their Hessians differ."""

    def __init__(self, index: int) -> None:
        rng = np.random.default_rng([7, index])
        self.a = rng.normal(size=(20, SIZE)) * np.exp(rng.normal(size=SIZE))
        self.b = self.a @ (5 * rng.normal(size=SIZE)) + rng.normal(size=20)

    def gradient(self, w):
        return self.a.T @ (self.a @ w - self.b) / len(self.b)


def steps_of(index: int) -> int:
    """Local steps: learners differ in them, too."""
    return 6 + 3 * index


class Descending:
    """Steps down its own slope, corrected where there is a correction; it is given the whole of its tensors, and nothing else."""

    num_train_examples = num_test_examples = 20
    dtype = np.float64

    def __init__(self, context):
        self.index, self.problem = context.index, Problem(context.index)

    def get_weights(self):
        return {"w": np.ones(SIZE, self.dtype), "own": np.zeros(1, self.dtype), "count": np.array(0)}

    def set_weights(self, weights):
        assert list(weights) == ["w", "own", "count"]

    def train(self, weights, params):
        assert list(weights) == ["w", "own", "count"]
        w, steps = weights["w"].copy(), steps_of(self.index)
        correction = 0 if params.correction is None else params.correction["w"]
        for _ in range(steps):
            w -= self.dtype(params.learning_rate) * (self.problem.gradient(w) + correction).astype(self.dtype)
        return {"w": w, "own": weights["own"] + 1, "count": weights["count"] + 1}, {"num_batches": steps}

    def evaluate(self, weights, params):
        assert list(weights) == ["w", "own", "count"]
        return {f"w{index}": float(value) for index, value in enumerate(weights["w"])}


class InFloat32(Descending):
    dtype = np.float32


def config(rule: str = "scaffold", rounds: int = 12, **tables: Any) -> dict[str, Any]:
    return {
        "seed": 11,
        "learners": {"count": LEARNERS},
        "aggregation": {"rule": rule},
        "model": {"local": ["own"]},
        "train": {"learning_rate": RATE},
        "stop": {"rounds": rounds},
        **tables,
    }


async def run(learner: Any = Descending, **tables: Any):
    """The results and the final model of a run in this process."""
    async with Federation(config(**tables)) as federation:
        for _ in range(LEARNERS):
            federation.add_learner(learner)
        results = await asyncio.wait_for(federation.run(), 120)
        return results, await federation.model()


def trajectory(results) -> np.ndarray:
    """float64[rounds, SIZE]: the global model after each round, as the learners saw it."""
    return np.array([[record.metrics[f"w{index}"] for index in range(SIZE)] for record in results.rounds])


def algorithm_1(cohorts: list[list[int]], eta_g: float) -> np.ndarray:
    """The paper's algorithm with option II, N = all learners, the same cohorts; float64[rounds, SIZE]."""
    problems = [Problem(index) for index in range(LEARNERS)]
    x, c, own = np.ones(SIZE), np.zeros(SIZE), np.zeros((LEARNERS, SIZE))
    seen = []
    for cohort in cohorts:
        moves, growths = [], []
        for i in cohort:
            y, steps = x.copy(), steps_of(i)
            for _ in range(steps):
                y -= RATE * (problems[i].gradient(y) - own[i] + c)
            grown = own[i] - c + (x - y) / (steps * RATE)
            moves.append(y - x)
            growths.append(grown - own[i])
            own[i] = grown
        x = x + eta_g * np.mean(moves, axis=0)
        c = c + np.sum(growths, axis=0) / LEARNERS
        seen.append(x)
    return np.array(seen)


def cohorts_of(results) -> list[list[int]]:
    return [[int(learner.removeprefix("learner-")) for learner in record.cohort] for record in results.rounds]


PARTIAL = {"policy": "uniform", "options": {"count": 2}}


@pytest.mark.parametrize("selection", [{}, PARTIAL], ids=["everybody", "two of five"])
@pytest.mark.parametrize("eta_g", [1.0, 0.5])
@pytest.mark.parametrize(("learner", "within"), [(Descending, 1e-12), (InFloat32, 2e-5)], ids=["float64", "float32"])
async def test_a_federation_goes_the_way_of_the_paper_s_algorithm(learner, within, eta_g, selection):
    aggregation = {"rule": "scaffold", "options": {"server_learning_rate": eta_g}}
    results, model = await run(learner, aggregation=aggregation, selection=selection, rounds=12)
    expected = algorithm_1(cohorts_of(results), eta_g)
    assert {len(cohort) for cohort in cohorts_of(results)} == {2 if selection else LEARNERS}
    np.testing.assert_allclose(trajectory(results), expected, atol=within * np.abs(expected).max(), rtol=0)
    np.testing.assert_allclose(model.weights["w"], expected[-1], atol=within * np.abs(expected).max(), rtol=0)


def test_virtual_learners_go_the_same_way():
    simulated = simulate(configuration.from_mapping(config(selection=PARTIAL)), Population(), entry=Descending)
    expected = algorithm_1(cohorts_of(simulated.results), 1.0)
    np.testing.assert_allclose(trajectory(simulated.results), expected, atol=1e-12 * np.abs(expected).max(), rtol=0)


def test_virtual_learners_that_only_take_time_carry_variates_too():
    assert len(simulate(configuration.from_mapping(config()), Population()).results.rounds) == 12


async def test_scaffold_reaches_the_optimum_that_fedavg_stays_away_from():
    """The sum of all learners' objectives is least at their normal equations' solution."""
    problems = [Problem(index) for index in range(LEARNERS)]
    hessian = sum(p.a.T @ p.a / len(p.b) for p in problems)
    optimum = np.linalg.solve(hessian, sum(p.a.T @ p.b / len(p.b) for p in problems))
    gaps = {}
    for rule in ("scaffold", "fedavg"):
        _, model = await run(rule=rule, rounds=150, evaluate={"every": 0})
        gaps[rule] = np.abs(model.weights["w"] - optimum).max()
    assert gaps["scaffold"] < 1e-3 * gaps["fedavg"]
    assert gaps["fedavg"] > 0.1


async def test_nobody_sees_control_variates():
    results, model = await run(rounds=2)
    assert list(model.weights) == ["w", "count"]
    assert model.weights["count"] == 2
    assert results.final.sha256 == model.sha256


async def test_a_learner_without_steps_or_their_length_fails_with_the_remedy():
    class Uncounted(Descending):
        def train(self, weights, params):
            return weights, {}

    async with Federation(config(rounds=1, protocol={"name": "synchronous", "options": {"max_failed_rounds": 1}})) as federation:
        for _ in range(LEARNERS):
            federation.add_learner(Uncounted)
        with pytest.raises(Exception, match="scaffold needs the number of local steps"):
            await asyncio.wait_for(federation.run(), 60)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"aggregation": {"rule": "scaffold", "clip_norm": 1.0}}, "scaffold needs each learner's whole step"),
        (
            {"aggregation": {"rule": "fedadam", "combine": "scaffold"}},
            "fedadam would step along the control variates of scaffold",
        ),
        ({"aggregation": {"rule": "scaffold", "combine": "median"}}, "scaffold combines by itself"),
        ({"aggregation": {"rule": "scaffold", "weighting": "batches"}}, "scaffold gives every update the same share"),
        ({"aggregation": {"rule": "scaffold", "discount": "hinge"}}, "scaffold gives stale updates the same share"),
        ({"model": {"frozen": ["count"]}}, "scaffold would correct the steps of frozen tensors"),
        ({"protocol": {"name": "asynchronous"}}, "scaffold corrects steps that start from one version, and asynchronous has"),
        ({"protocol": {"name": "buffered"}}, "scaffold corrects steps that start from one version, and buffered has"),
        (
            {"protocol": {"name": "synchronous", "options": {"late_updates": "keep", "round_timeout_s": 1.0}}},
            'which is stale in a later round: write late_updates = "refuse"',
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_does_not_go_with_it_is_refused_with_the_reason(tables, said):
    with pytest.raises(ConfigError) as caught:
        configuration.from_mapping(config(**tables))
    assert said in str(caught.value)


def test_n_is_the_configured_number_of_learners():
    assert configuration.build_rule(configuration.from_mapping(config())).learners == LEARNERS
    told = config(aggregation={"rule": "scaffold", "options": {"learners": 100}})
    assert configuration.build_rule(configuration.from_mapping(told)).learners == 100
