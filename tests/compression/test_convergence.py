"""The quickstart's model learns as well from packed updates: in virtual time, with really training learners."""

from pathlib import Path

import pytest

from fedactors import config as configuration
from fedactors.simulation import simulate
from fedactors.simulation.population import Population

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"
FORMS = {"bf16": [], "fp16": [], "int8": [], "top_k": ["compression.options.fraction=0.1"]}


def accuracy(overrides=()):
    config = configuration.read(QUICKSTART / "federation.toml", ["stop.rounds=5", "train.epochs=1", *overrides])
    results = simulate(config, Population(), entry=configuration.load_entry(config)).results
    return results.rounds[-1].metrics["accuracy"]


@pytest.fixture(scope="module")
def uncompressed():
    return accuracy()


@pytest.mark.parametrize("form", FORMS)
def test_a_packed_run_is_within_a_point_of_one_that_is_not(form, uncompressed):
    assert accuracy([f"compression.updates={form}", *FORMS[form]]) >= uncompressed - 0.01
