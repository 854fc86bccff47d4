"""What learners do beyond four methods, from a configuration, with real processes over real gRPC."""

from __future__ import annotations

import numpy as np
import pytest

from fedactors import model_file
from fedactors.model import GlobalModel
from tests.e2e import support

pytestmark = pytest.mark.e2e

ADAPTERS = """
    import numpy as np

    class Adapters:
        '''A base that is its own and adapters that are shared; the base says whether it is still the learner's.'''

        num_train_examples = num_test_examples = 10

        def __init__(self, context):
            self.index = context.index

        def get_weights(self):
            return {"base": np.full(4, float(self.index)), "head.lora_A": np.zeros(3, np.float32), "head.bias": np.zeros(2)}

        def set_weights(self, weights):
            pass

        def train(self, weights, params):
            assert list(weights) == ["base", "head.lora_A", "head.bias"]
            steps = {"base": 10, "head.lora_A": np.float32(1), "head.bias": 0}
            return {name: array + steps[name] for name, array in weights.items()}, {}

        def evaluate(self, weights, params):
            return {"base": weights["base"].mean(), "lora": weights["head.lora_A"].mean()}
"""

LOCAL = """
name = "adapters"
seed = 1
initial = "file:start.safetensors"

[learners]
entry = "learner.py:Adapters"
count = 3

[model]
shared = ["*.lora_*"]
local = ["base", "bn*"]

[stop]
rounds = 2
"""


def test_only_what_is_shared_travels_and_a_file_may_hold_more(tmp_path):
    path = support.project(tmp_path, LOCAL, ADAPTERS)
    start = {"base": np.zeros(4), "head.lora_A": np.full(3, 5, np.float32), "head.bias": np.zeros(2)}
    model_file.save(GlobalModel.initial(start), tmp_path / "start.safetensors")
    done = support.fedactors("up", path, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = support.results(tmp_path / "run")
    assert results["final"]["metrics"] == {"base": 21.0, "lora": 7.0}, "bases 20, 21 and 22; 5 and two rounds"
    weights = model_file.load(tmp_path / "run" / "model.safetensors")
    assert {name: array.tolist() for name, array in weights.items()} == {"head.lora_A": [7.0] * 3}
    log = (tmp_path / "run" / "logs" / "learner-0.log").read_text()
    assert "pattern_matches_nothing" in log
    assert "bn*" in log


QUADRATIC = """
    import numpy as np

    class Quadratic:
        '''Descends on its own parabola, h (w - m)^2 / 2; curvatures and minima differ.'''

        num_train_examples = num_test_examples = 1

        def __init__(self, context):
            self.h, self.m = 1.0 + context.index, 10.0 * context.index

        def get_weights(self):
            return {"w": np.zeros(1)}

        def set_weights(self, weights):
            assert list(weights) == ["w"]

        def train(self, weights, params):
            w = weights["w"].copy()
            for _ in range(params.steps):
                gradient = self.h * (w - self.m)
                if params.correction is not None:
                    gradient = gradient + params.correction["w"]
                w -= params.learning_rate * gradient
            return {"w": w}, {}

        def evaluate(self, weights, params):
            assert list(weights) == ["w"]
            return {"w": weights["w"][0]}
"""

VARIED = """
name = "varied"
seed = 1

[learners]
entry = "learner.py:Quadratic"
count = 3

[aggregation]
rule = "scaffold"

[train]
steps = 8
learning_rate = 0.1

[evaluate]
every = 40

[stop]
rounds = 40
"""
OPTIMUM = (2 * 10 + 3 * 20) / 6
"""Of the sum of the three parabolas."""


def where_fedavg_ends():
    """The fixed point of averaging where 8 steps of 0.1 lead from it: each learner goes 1 - (1 - 0.1 h)^8 of its way."""
    ways = [1 - (1 - 0.1 * (1 + index)) ** 8 for index in range(3)]
    return sum(way * 10 * index for index, way in enumerate(ways)) / sum(ways)


def test_scaffold_takes_unlike_learners_to_the_optimum(tmp_path):
    path = support.project(tmp_path, VARIED, QUADRATIC)
    done = support.fedactors("up", path, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    weights = model_file.load(tmp_path / "run" / "model.safetensors")
    assert list(weights) == ["w"]
    assert weights["w"][0] == pytest.approx(OPTIMUM, abs=1e-6)
    assert abs(where_fedavg_ends() - OPTIMUM) > 0.5
    assert support.results(tmp_path / "run")["final"]["metrics"]["w"] == weights["w"][0]
