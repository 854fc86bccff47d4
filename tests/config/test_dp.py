"""[dp]: what it comes to, and what it is refused with."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fedactors import config as configuration
from fedactors.aggregation.fedadam import FedAdam
from fedactors.aggregation.private import Private
from fedactors.aggregation.server import ServerStep
from fedactors.config import Config, differential
from fedactors.dp.accountant import WithoutReplacement, epsilon
from fedactors.dp.budget import PrivacyBudget
from fedactors.dp.clipping import Adaptive
from fedactors.dp.local import LocalPrivacy
from fedactors.dp.noise import SeededNoise
from fedactors.errors import ConfigError

ROUNDS = 20


def read(mechanism: str | None = "central", tables: dict[str, Any] | None = None, **dp: Any) -> Config:
    given = {"learners": {"count": 10}, "stop": {"rounds": ROUNDS}, **(tables or {})}
    said = {} if mechanism is None else {"mechanism": mechanism, "clip_norm": 0.5, "noise_multiplier": 2.0}
    return configuration.from_mapping({**given, "dp": {**said, **dp}})


def without_none(**given: Any) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


def test_central_is_a_rule_over_the_cohort_that_is_expected():
    assert configuration.build_rule(read()) == Private(0.5, 2.0, 10)
    four = {"selection": {"policy": "uniform", "options": {"count": 4}}}
    assert configuration.build_rule(read(tables=four)) == Private(0.5, 2.0, 4)
    assert configuration.build_rule(read(cohort=7)) == Private(0.5, 2.0, 7)


def test_the_weighting_is_participants_where_none_is_named():
    assert read().aggregation.weighting == "participants"
    assert read("local").aggregation.weighting == "examples"


def test_a_server_optimiser_steps_over_it():
    tables = {"aggregation": {"rule": "fedadam", "options": {"server_learning_rate": 0.1}}}
    assert configuration.build_rule(read(tables=tables)) == ServerStep(FedAdam(0.1), Private(0.5, 2.0, 10))


def test_fedbuff_keeps_its_step_and_is_divided_by_what_is_buffered():
    tables = {
        "protocol": {"name": "buffered", "options": {"updates": 5}},
        "aggregation": {"options": {"server_learning_rate": 0.3}},
    }
    assert configuration.build_rule(read(tables=tables)) == Private(0.5, 2.0, 5, server_learning_rate=0.3)


def test_adaptive_clipping_takes_its_part_of_the_noise():
    rule = configuration.build_rule(read(adaptive={"quantile": 0.8, "count_noise": 3.0}))
    adaptive = Adaptive(0.8, 0.2, 3.0)
    assert rule == Private(0.5, adaptive.sum_multiplier(2.0), 10, adaptive=adaptive)
    assert configuration.stop_conditions(read(adaptive={})).privacy == PrivacyBudget(2.0, 1e-5)


def test_a_seed_for_tests_is_said_to_protect_nobody():
    config = read(noise_seed=3)
    assert configuration.build_rule(config) == Private(0.5, 2.0, 10, noise=SeededNoise("3"))
    assert "NOT PRIVATE" in differential.in_words(config)


@pytest.mark.parametrize("mechanism", ["central", "local"])
def test_the_noise_follows_from_the_budget_and_is_written_down(mechanism):
    config = configuration.from_mapping(
        {"stop": {"rounds": 100}, "dp": {"mechanism": mechanism, "clip_norm": 1.0, "epsilon_max": 8.0}}
    )
    privacy = configuration.stop_conditions(config).privacy
    assert privacy is not None
    assert 7.97 < privacy.epsilon(100) <= 8.0
    assert config.dp.noise_multiplier == pytest.approx(privacy.noise_multiplier * (2 if mechanism == "local" else 1))
    assert f"noise_multiplier = {config.dp.noise_multiplier}" in configuration.to_toml(config)


def test_local_is_told_to_learners_and_counts_twice_the_clip_norm():
    config = read("local")
    assert differential.local(config) == LocalPrivacy(0.5, 2.0, 1e-5)
    assert configuration.stop_conditions(config).privacy == PrivacyBudget(1.0, 1e-5)
    assert not isinstance(configuration.build_rule(config), Private)
    assert differential.local(read()) is None


def test_without_a_mechanism_nothing_is_accounted():
    config = read(None)
    assert configuration.stop_conditions(config).privacy is None
    assert config.dp.sampling_seed is None


def test_a_secret_draw_counts_by_the_greatest_share_of_those_here():
    tables = {"selection": {"policy": "uniform", "options": {"count": 2}}, "learners": {"count": 10, "min": 8}}
    config = read(tables=tables, amplification=True)
    assert configuration.stop_conditions(config).privacy == PrivacyBudget(2.0, 1e-5, sampling=WithoutReplacement(0.25))
    assert config.dp.sampling_seed is not None
    assert configuration.stop_conditions(read(tables=tables)).privacy == PrivacyBudget(2.0, 1e-5)


def test_over_selection_draws_more():
    tables = {
        "selection": {"policy": "uniform", "options": {"fraction": 0.2}},
        "protocol": {"options": {"over_selection": 0.5, "round_timeout_s": 9.0}},
    }
    assert differential.sampling(read(tables=tables, amplification=True)) == WithoutReplacement(5 / 13)


def test_what_it_comes_to_in_words():
    spent = f"epsilon {epsilon(ROUNDS, 2.0, 1e-5):.3g} after 20 rounds at delta 1e-05"
    assert differential.in_words(read()) == f"central, noise 2, clip 0.5, {spent}"
    assert differential.in_words(read(epsilon_max=4.0)).endswith("after 2 rounds at delta 1e-05")
    assert "clip 0.5 at first (then quantile 0.5)" in differential.in_words(read(adaptive={}))
    asynchronous = read("local", {"protocol": {"name": "asynchronous"}})
    assert differential.in_words(asynchronous) == "local, noise 2, clip 0.5, accounted by each learner"


BUFFERED = {"name": "buffered", "options": {"updates": 5}}
KRUM = {"rule": "krum", "options": {"byzantine": 2}}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"mechanism": None, "clip_norm": 1.0}, "dp.clip_norm = 1.0 changes nothing without a mechanism"),
    ({"clip_norm": None}, "needs dp.clip_norm"),
    ({"noise_multiplier": None}, "write the first two, or the last"),
    ({"noise_multiplier": None, "epsilon_max": 8.0, "tables": {"stop": {"updates": 5}}}, "write the first two, or the last"),
    ({"delta": 0.1}, "dp.delta = 0.1 lets a mechanism tell all of one in 10 learners: write less than 0.1, such as 0.01"),
    ({"epsilon_max": 0.1}, "the first round would exceed dp.epsilon_max"),
    ({"epsilon_max": 1e-9, "delta": 1e-18, "noise_multiplier": None}, "no noise keeps 20 rounds within epsilon 1e-09"),
    ({"adaptive": {"count_noise": 0.5}}, "dp.adaptive.count_noise = 0.5 is too little"),
    ({"tables": {"aggregation": KRUM}}, "krum chooses among updates"),
    ({"tables": {"aggregation": {"rule": "median"}}}, "use fedavg or fedbuff, a server optimiser over one of them"),
    ({"tables": {"aggregation": {"rule": "scaffold"}}}, "scaffold releases control variates"),
    ({"tables": {"aggregation": {"rule": "fedrec"}}}, "fedrec releases a learner's update in more than one version"),
    ({"tables": {"aggregation": {"rule": "fednova"}}}, "fednova divides by what learners say of their steps"),
    ({"tables": {"aggregation": {"rule": "fedadam", "combine": "median"}}}, "median chooses among updates"),
    ({"tables": {"aggregation": {"weighting": "examples"}}}, "write weighting = 'participants', or leave it out"),
    ({"tables": {"aggregation": {"clip_norm": 1.0}}}, "take aggregation.clip_norm out"),
    (
        {"tables": {"protocol": {"name": "asynchronous"}, "aggregation": {"rule": "fedbuff"}}},
        "asynchronous releases every update by itself",
    ),
    ({"tables": {"protocol": {"options": {"late_updates": "keep"}}}}, 'write late_updates = "refuse"'),
    ({"amplification": True}, "selection.policy = 'everyone' does not draw learners with equal chances"),
    (
        {"amplification": True, "tables": {"selection": {"policy": "uniform", "options": {"count": 2}}, "protocol": BUFFERED}},
        "buffered takes whoever is free, which is no secret draw",
    ),
    ({"mechanism": "local", "adaptive": {}}, "dp.adaptive is for dp.mechanism = 'central'"),
    ({"mechanism": "local", "tables": {"aggregation": {"rule": "scaffold"}}}, "scaffold sends control variates"),
    ({"mechanism": "local", "epsilon_max": 8.0, "tables": {"protocol": BUFFERED}}, "start learners with --dp-epsilon-max 8"),
    (
        {"mechanism": "local", "noise_multiplier": None, "epsilon_max": 8.0, "tables": {"protocol": BUFFERED}},
        "so no noise follows from rounds",
    ),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=[said[:50] for _, said in REFUSED])
def test_what_protects_nobody_is_refused_with_the_remedy(given, said):
    given = dict(given)
    tables, mechanism = given.pop("tables", None), given.pop("mechanism", "central")
    table = without_none(mechanism=mechanism, clip_norm=0.5, noise_multiplier=2.0) if mechanism else {}
    wanted = {key: value for key, value in {**table, **given}.items() if value is not None}
    with pytest.raises(ConfigError, match=re.escape(said)):
        configuration.from_mapping({"learners": {"count": 10}, "stop": {"rounds": ROUNDS}, **(tables or {}), "dp": wanted})


def test_masked_updates_cannot_be_clipped_by_the_controller():
    with pytest.raises(ConfigError, match=r"the controller cannot clip what secure.method = 'ckks' keeps from it"):
        read(tables={"secure": {"method": "ckks"}})


def test_robust_rules_go_with_local_noise():
    assert differential.local(read("local", {"aggregation": KRUM})) is not None
