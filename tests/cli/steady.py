"""A small federation, run by way of the command line."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from click.testing import CliRunner, Result

from fedactors.cli import main

LEARNER = """
    import numpy as np

    class Steady:
        num_train_examples = 10

        def __init__(self, context):
            pass

        def get_weights(self):
            return {"layer.bias": np.zeros(3, np.float32), "layer.weight": np.ones((3, 2), np.float32)}

        def set_weights(self, weights):
            pass

        def train(self, weights, params):
            return {name: array + 1 for name, array in weights.items()}, {"num_batches": 2}

        def evaluate(self, weights, params):
            return {"mean": weights["layer.weight"].mean(), "num_examples": 1}
"""

CONFIG = """
    name = "steady"
    seed = 1

    [learners]
    entry = "learner.py:Steady"
    count = 2

    [train]
    learning_rate = 1.0

    [stop]
    rounds = 2
"""


def fedactors(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def said(*arguments: object) -> str:
    result = fedactors(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(code: int, *arguments: object) -> str:
    result = fedactors(*arguments)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (code, "", 1), result.output
    return result.stderr


def written(path: Path) -> Path:
    """A directory with its files."""
    (path / "learner.py").write_text(dedent(LEARNER))
    (path / "federation.toml").write_text(dedent(CONFIG))
    return path


def up(place: Path, name: str, *overrides: str) -> Path:
    settings = [part for override in overrides for part in ("--set", override)]
    said("up", place / "federation.toml", "--in-process", "-q", "--run-dir", place / name, *settings)
    return place / name
