"""How a federation's configuration reads for a relay, and what a relay cannot stand in the middle of."""

from __future__ import annotations

import pytest

from fedactors import config as configuration
from fedactors.errors import ConfigError
from fedactors.relay.terms import relayed
from fedactors.scheduling.synchronous import Synchronous

FEDERATION = {
    "name": "tree",
    "seed": 1,
    "learners": {"count": 4, "min": 2},
    "protocol": {"name": "semi_synchronous", "options": {"pace": 2.0, "round_timeout_s": 30.0, "late_updates": "keep"}},
    "aggregation": {"rule": "fedadam", "weighting": "batches", "clip_norm": 2.0, "options": {"server_learning_rate": 0.1}},
    "store": {"url": "file://versions"},
    "stop": {"rounds": 10},
}


def read(**tables: object) -> configuration.Config:
    return configuration.from_mapping(FEDERATION | tables)


def test_what_the_controller_decides_is_left_to_it():
    config = relayed(read())
    assert (config.aggregation.rule, config.aggregation.options, config.store.url) == ("fedavg", {}, None)
    assert configuration.build_protocol(config) == Synchronous(round_timeout_s=30.0, max_failed_rounds=1)


def test_what_holds_for_a_relay_s_own_learners_is_kept():
    config = relayed(read(selection={"policy": "uniform", "options": {"count": 3}}, liveness={"heartbeat_s": 2.0}))
    aggregation = config.aggregation
    assert (aggregation.weighting, aggregation.clip_norm, aggregation.deterministic) == ("batches", 2.0, True)
    assert (config.learners.min, config.selection.options, config.liveness.heartbeat_s) == (2, {"count": 3}, 2.0)


@pytest.mark.parametrize("protocol", ["synchronous", "asynchronous", "buffered"])
def test_a_relay_s_own_rounds_are_in_step_whatever_the_protocol(protocol):
    config = configuration.from_mapping({"seed": 1, "protocol": {"name": protocol}})
    assert configuration.build_protocol(relayed(config)) == Synchronous(max_failed_rounds=1)


LOCAL = {"mechanism": "local", "clip_norm": 1.0, "noise_multiplier": 1.0}


def test_noise_that_learners_give_themselves_goes_with_relays():
    config = relayed(configuration.from_mapping({"seed": 1, "dp": LOCAL}))
    assert config.dp.mechanism == "local"


THREE = {"learners": {"count": 3}, "protocol": {"options": {"min_updates": 3}}}
REFUSED = [
    ({"secure": {"method": "masking"}, **THREE}, "secure.method = 'masking' protects updates all the way"),
    ({"dp": LOCAL | {"mechanism": "central"}}, "dp.mechanism = 'central' clips each learner's update at the controller"),
    ({"aggregation": {"rule": "scaffold"}}, "aggregation.rule = 'scaffold' keeps account of each learner"),
    ({"aggregation": {"rule": "fednova"}}, "aggregation.rule = 'fednova' divides each update by its learner's own steps"),
    ({"aggregation": {"weighting": "participants"}}, "aggregation.weighting = 'participants' counts a relay as one"),
]


@pytest.mark.parametrize(("tables", "said"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_a_mean_cannot_stand_for_is_refused_with_its_reason(tables, said):
    with pytest.raises(ConfigError) as refused:
        relayed(configuration.from_mapping({"seed": 1} | tables))
    assert str(refused.value).startswith(f"a relay cannot stand in the middle of this federation: {said}")
