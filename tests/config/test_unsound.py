"""Rules, weightings, discounts and protocols that do not go together are refused when the configuration is read."""

from __future__ import annotations

from typing import Any

import pytest

from fedactors import config as configuration
from fedactors.aggregation.clipped import Clipped
from fedactors.aggregation.discount import Constant, Hinge, Polynomial
from fedactors.aggregation.fedadam import FedAdam
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.krum import Krum
from fedactors.aggregation.median import Median
from fedactors.aggregation.server import ServerStep
from fedactors.config import Config
from fedactors.errors import ConfigError


def read(
    protocol: Any = "synchronous", learners: int = 10, least: int | None = None, selection: Any = None, **aggregation: Any
) -> Config:
    return configuration.from_mapping(
        {
            "learners": {"count": learners, "min": learners if least is None else least},
            "protocol": protocol if isinstance(protocol, dict) else {"name": protocol},
            "selection": selection or {},
            "aggregation": aggregation,
        }
    )


def test_the_words_compose_to_a_rule() -> None:
    assert configuration.build_rule(read()) == FedAvg()
    assert configuration.build_rule(read(rule="krum", options={"byzantine": 2})) == Krum(2)
    assert configuration.build_rule(read(rule="fedadam")) == ServerStep(FedAdam(), FedAvg())
    composed = read(rule="fedadam", options={"tau": 0.1}, combine="krum", combine_options={"byzantine": 2}, clip_norm=3.0)
    assert configuration.build_rule(composed) == ServerStep(FedAdam(tau=0.1), Clipped(Krum(2), 3.0))
    assert configuration.build_rule(read(rule="median", clip_norm=1.0)) == Clipped(Median(), 1.0)


def test_the_words_compose_to_a_discount() -> None:
    assert configuration.build_discount(read()) == Constant()
    assert configuration.build_discount(read(discount="polynomial")) == Polynomial()
    assert configuration.build_discount(read(discount="hinge", discount_options={"a": 2, "b": 3})) == Hinge(2.0, 3.0)


def buffered(updates: int) -> dict[str, Any]:
    return {"name": "buffered", "options": {"updates": updates}}


def synchronous(**options: Any) -> dict[str, Any]:
    return {"name": "synchronous", "options": options}


BUFFERED = buffered(4)
UNIFORM = {"policy": "uniform", "options": {"count": 4}}

UNSOUND: list[tuple[dict[str, Any], str]] = [
    ({"rule": "median", "combine": "krum"}, "median combines by itself; combine is for the server optimisers fedavgm,"),
    ({"rule": "fedadam", "combine": "fedyogi"}, "fedadam cannot step over fedyogi, which steps by itself"),
    (
        {"rule": "fedadam", "combine": "fedrec"},
        "the result of fedrec is more than that: it would step along earlier rounds again",
    ),
    ({"rule": "fedavgm", "combine": "fedasync"}, "the result of fedasync is more than that"),
    (
        {"rule": "krum", "weighting": "batches"},
        "krum gives every update the same share, so weighting = 'batches' would change nothing",
    ),
    ({"rule": "fedasync", "weighting": "metric:x"}, "fedasync gives every update the same share"),
    ({"rule": "fedadam", "combine": "median", "weighting": "batches"}, "median gives every update the same share"),
    ({"rule": "median", "discount": "hinge"}, "median gives stale updates the same share as others, so discount = 'hinge'"),
    ({"rule": "median", "refuse_not_finite": False}, "median puts values in order or measures distances, which NaN has none of"),
    ({"rule": "krum", "learners": 4}, "krum with these options needs 5 updates in a round, and learners.count = 4"),
    ({"rule": "bulyan", "options": {"byzantine": 2}}, "bulyan with these options needs 11 updates in a round"),
    ({"rule": "fedadam", "combine": "krum", "learners": 4}, "krum with these options needs 5 updates in a round"),
    ({"rule": "trimmed_mean", "options": {"trim": 0.01}}, "trimmed_mean with these options needs 100 updates in a round"),
    (
        {"rule": "median", "protocol": "asynchronous"},
        "median compares the updates of one commit, at least 3, and asynchronous commits",
    ),
    ({"rule": "krum", "protocol": BUFFERED}, "krum compares the updates of one commit, at least 5, and buffered commits every 4"),
    (
        {"rule": "median", "protocol": buffered(2)},
        "median compares the updates of one commit, at least 3, and buffered commits every 2: use",
    ),
    ({"rule": "median", "learners": 2}, "median with these options needs 3 updates in a round, and learners.count = 2"),
    ({"rule": "geometric_median", "learners": 1}, "geometric_median with these options needs 3 updates in a round"),
    ({"rule": "bulyan", "learners": 6}, "bulyan with these options needs 7 updates in a round, and learners.count = 6"),
    (
        {"rule": "krum", "least": 4},
        "krum with these options needs 5 updates in a round, and the first begins with learners.min = 4: write learners.min = 5",
    ),
    (
        {"rule": "krum", "selection": UNIFORM},
        "needs 5 updates in a round, and selection.policy = 'uniform' takes 4 of 10 learners: have it take 5 or more",
    ),
    ({"rule": "fedadam", "combine": "krum", "selection": {"policy": "round_robin"}}, "'round_robin' takes 1 of 10 learners"),
    (
        {"rule": "krum", "protocol": synchronous(round_timeout_s=60, min_updates=4)},
        "needs 5 updates in a round, and min_updates = 4 suffices when it times out: write min_updates = 5",
    ),
    (
        {"rule": "krum", "protocol": {"name": "semi_synchronous", "options": {"round_timeout_s": 60}}},
        "needs 5 updates in a round, and min_updates = 1 suffices when it times out",
    ),
    (
        {"rule": "fedavg", "protocol": "asynchronous"},
        "fedavg is the mean of one commit's updates, and asynchronous commits each by itself: each version would be the last",
    ),
    ({"rule": "fedstride", "protocol": "asynchronous", "clip_norm": 1.0}, "fedstride is the mean of one commit's updates"),
    (
        {"rule": "fedavg", "protocol": buffered(1)},
        "and buffered commits each by itself: each version would be the last learner's",
    ),
    (
        {"protocol": "asynchronous", "options": {"alpha": 1.0}},
        "fedasync with alpha = 1 keeps nothing of the model that it mixes into: each version would be the last learner's weights",
    ),
]


@pytest.mark.parametrize(("words", "said"), UNSOUND, ids=[said for _, said in UNSOUND])
def test_a_pair_that_does_not_go_together_is_refused_with_the_reason(words: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**words)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        {"rule": "fedasync", "discount": "hinge", "protocol": "asynchronous"},
        {"rule": "fedrec", "protocol": "asynchronous", "discount": "polynomial"},
        {"rule": "fedbuff", "protocol": BUFFERED, "discount": "polynomial", "clip_norm": 10},
        {"rule": "fedadam", "combine": "fedbuff", "protocol": BUFFERED},
        {"rule": "fedyogi", "combine": "geometric_median", "weighting": "batches"},
        {"rule": "median", "protocol": BUFFERED},
        {"rule": "krum", "weighting": "participants"},
        {"rule": "median", "learners": 3, "least": 1},
        {"rule": "median", "protocol": buffered(3)},
        {"rule": "krum", "least": 5, "protocol": synchronous(round_timeout_s=60, min_updates=5)},
        {"rule": "krum", "selection": UNIFORM, "protocol": synchronous(min_updates=5)},
        {"rule": "krum", "selection": {"policy": "by_tag", "options": {"tags": ["gpu"]}}},
        {"rule": "fedavg", "selection": {"policy": "round_robin"}},
        {"rule": "fedavg", "protocol": "asynchronous", "learners": 1},
        {"rule": "fedavg", "protocol": buffered(2)},
        {"rule": "fedavgm", "protocol": "asynchronous", "options": {"server_learning_rate": 0.2}},
        {"rule": "fednova", "protocol": "asynchronous"},
        {"protocol": "asynchronous", "options": {"alpha": 1.0}, "discount": "polynomial"},
    ],
    ids=str,
)
def test_a_pair_that_goes_together_is_taken(words: dict[str, Any]) -> None:
    read(**words)


@pytest.mark.parametrize(
    ("words", "weighting"),
    [
        ({}, "examples"),
        ({"rule": "fedbuff"}, "participants"),
        ({"protocol": BUFFERED}, "participants"),
        ({"rule": "fedadam", "combine": "fedbuff"}, "participants"),
        ({"rule": "fedadam"}, "examples"),
        ({"protocol": BUFFERED, "rule": "fedrec"}, "examples"),
        ({"protocol": BUFFERED, "weighting": "examples"}, "examples"),
    ],
    ids=str,
)
def test_fedbuff_takes_the_plain_mean_of_its_paper_unless_another_weighting_is_named(
    words: dict[str, Any], weighting: str
) -> None:
    assert read(**words).aggregation.weighting == weighting
