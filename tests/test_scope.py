"""Which tensors travel, by their names."""

from __future__ import annotations

import numpy as np
import pytest

from fedactors import config as configuration
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.frozen import Frozen
from fedactors.errors import ConfigError, ModelError
from fedactors.model import Layout
from fedactors.scope import PATTERN_CHARS_MAX, PATTERNS_MAX, WHOLE, Scope

NAMES = ["conv.weight", "bn1.weight", "bn1.running_mean", "head.lora_A", "head.lora_B", "head.weight"]


def travelling(**patterns):
    return [name for name in NAMES if Scope(**patterns).travels(name)]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ({}, NAMES),
        ({"local": ("bn*",)}, ["conv.weight", "head.lora_A", "head.lora_B", "head.weight"]),
        ({"local": ("*running_mean", "conv.weigh?")}, ["bn1.weight", "head.lora_A", "head.lora_B", "head.weight"]),
        ({"local": ("BN*", "weight", "head")}, NAMES),
        ({"shared": ("*lora_*",)}, ["head.lora_A", "head.lora_B"]),
        ({"shared": ("head.*",), "local": ("*.lora_[A]",)}, ["head.lora_B", "head.weight"]),
        ({"frozen": ("*",)}, NAMES),
    ],
    ids=str,
)
def test_a_tensor_travels_that_is_shared_and_not_local(patterns, names):
    assert travelling(**patterns) == names


def test_weights_keep_their_order_and_a_scope_that_leaves_none_is_one_error():
    weights = {name: np.zeros(1) for name in NAMES}
    assert list(Scope(local=("bn*",)).travelling(weights)) == travelling(local=("bn*",))
    assert WHOLE.travelling(weights) == weights
    with pytest.raises(ModelError) as caught:
        Scope(shared=("LORA*",), local=("x",)).travelling(weights)
    assert str(caught.value) == (
        "no tensor travels with model.shared = ['LORA*'] and model.local = ['x']; "
        "the model has conv.weight, bn1.weight, bn1.running_mean, head.lora_A, head.lora_B, ..."
    )


def test_a_model_with_what_should_stay_and_one_without_anything_to_learn_are_no_federations():
    layout = Layout.from_specs([(name, "float32", (1,)) for name in NAMES])
    assert Scope(frozen=("head*",)).problem(layout) is None
    assert Scope(local=("bn*",)).problem(layout) == (
        "tensor 'bn1.weight' was sent and is to stay with its learner, as model.local and model.shared say"
    )
    assert Scope(frozen=("head*", "*weight", "*mean")).problem(layout) == (
        "every tensor that travels is frozen by model.frozen = ['head*', '*weight', '*mean'], so that nothing can be learnt"
    )


def test_patterns_that_match_nothing_are_found():
    scope = Scope(local=("bn*", "batchnorm*"), shared=("*",), frozen=("haed.*",))
    found = {key: list(scope.unmatched(key, NAMES)) for key in ("local", "shared", "frozen")}
    assert found == {"local": ["batchnorm*"], "shared": [], "frozen": ["haed.*"]}


# ------------------------------------------------------------------------------------------------------- the configuration


def read(**model):
    return configuration.from_mapping({"model": model})


def test_the_table_model_becomes_a_scope_and_a_rule():
    config = read(local=["bn*"], shared=["*weight"], frozen=["embed*"])
    assert configuration.scope(config) == Scope(("bn*",), ("*weight",), ("embed*",))
    assert configuration.build_rule(config) == Frozen(FedAvg(), ("embed*",))
    assert configuration.scope(read()) == WHOLE
    assert configuration.build_rule(read()) == FedAvg()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"local": ["bn*", "*"]}, 'with model.local = ["bn*", "*"] no tensor travels: leave out what is to be learnt together'),
        ({"shared": ["a*"], "local": ["a*"]}, 'with model.local = ["a*"] no tensor travels'),
        ({"frozen": ["*"]}, 'with model.frozen = ["*"] no tensor is combined'),
        ({"local": [""]}, "model.local"),
        ({"local": "bn*"}, "model.local"),
        ({"frozen": ["x" * (PATTERN_CHARS_MAX + 1)]}, "model.frozen"),
        ({"shared": ["x*"] * (PATTERNS_MAX + 1)}, "model.shared"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_patterns_that_cannot_work_are_refused_when_the_configuration_is_read(model, said):
    with pytest.raises(ConfigError) as caught:
        read(**model)
    assert said in str(caught.value)
