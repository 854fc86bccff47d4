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
