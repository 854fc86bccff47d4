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


def read(protocol: Any = "synchronous", learners: int = 10, **aggregation: Any) -> Config:
    table = protocol if isinstance(protocol, dict) else {"name": protocol}
    return configuration.from_mapping({"learners": {"count": learners}, "protocol": table, "aggregation": aggregation})


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


BUFFERED = {"name": "buffered", "options": {"updates": 4}}

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
    ],
    ids=str,
)
def test_a_pair_that_goes_together_is_taken(words: dict[str, Any]) -> None:
    read(**words)
