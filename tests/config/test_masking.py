"""[secure] method = "masking": what the configuration makes of it, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from fedactors import config as configuration
from fedactors.actors.mask_broker import MaskBroker
from fedactors.aggregation.masked import MaskedMean
from fedactors.cli import main
from fedactors.config import masking as masked
from fedactors.config import unsound_masking
from fedactors.config.planning import blueprint
from fedactors.errors import ConfigError, ExtraMissing
from fedactors.form import Forms, FormSpec
from fedactors.privacy.masking.form import MaskedForm
from fedactors.privacy.masking.terms import Terms
from fedactors.simulation import simulate
from fedactors.simulation.population import Population

MASKED: dict[str, Any] = {
    "learners": {"count": 10, "min": 10},
    "protocol": {"name": "synchronous", "options": {"min_updates": 7}},
    "secure": {"method": "masking"},
}


def read(**tables: Any) -> configuration.Config:
    return configuration.from_mapping({**MASKED, **tables})


def test_masking_takes_the_place_of_fedavg() -> None:
    config = read(secure={"method": "masking", "options": {"bits": 64, "neighbours": 4}}, aggregation={"weighting": "batches"})
    form = MaskedForm(bits=64, neighbours=4, factor="batches")
    assert configuration.build_rule(config) == MaskedMean(form)
    assert configuration.build_form(config) == form
    assert not form.optional, "no update travels without masks"
    plan = blueprint(config, lambda _: None, None)  # type: ignore[arg-type, return-value]  # neither is used
    assert plan.masks is not None
    assert isinstance(plan.masks(), MaskBroker)
    assert plan.aggregation.rule == MaskedMean(form), "sums are exact: no order is kept"
    assert blueprint(read(secure={}), lambda _: None, None).masks is None  # type: ignore[arg-type, return-value]


def test_learners_are_told_the_same_form() -> None:
    config, known = read(aggregation={"weighting": "participants"}), configuration.known_forms()
    assert "masking" in known.names
    assert known.wished(configuration.form_spec(config)) == configuration.build_form(config)
    with pytest.raises(ConfigError, match="bits"):
        known.wished(FormSpec("masking", {"bits": "many"}))
    with pytest.raises(ConfigError, match="masking has bits = 33"):
        known.wished(FormSpec("masking", {"bits": 33}))


def test_a_learner_without_cryptography_does_not_offer_masking(monkeypatch) -> None:
    monkeypatch.setattr(masked, "find_spec", lambda _: None)
    assert masked.with_masking(Forms(("bf16",))).names == ("bf16",)


def test_a_controller_without_cryptography_is_told_the_extra(monkeypatch) -> None:
    monkeypatch.setattr(unsound_masking, "is_installed", lambda: False)
    with pytest.raises(ExtraMissing, match=r"'cryptography', which is not installed: pip install 'fedactors\[secure\]'"):
        read()


REFUSED = [
    ({"aggregation": {"rule": "median"}}, 'which is what fedavg needs, not median: write rule = "fedavg"'),
    ({"aggregation": {"rule": "fedrec"}}, "not fedrec"),
    ({"aggregation": {"rule": "fedadam"}}, "not fedadam"),
    ({"aggregation": {"rule": "fednova"}}, "not fednova"),
    ({"aggregation": {"rule": "scaffold"}}, "not scaffold"),
    ({"aggregation": {"weighting": "metric:share"}}, "masked factors are whole numbers, and weighting = 'metric:share' may give"),
    ({"aggregation": {"clip_norm": 1.0}}, "the controller cannot measure the norm of a masked update: take clip_norm out"),
    ({"aggregation": {"discount": "polynomial"}}, "a masked update cannot be given another share than its learner gave it"),
    ({"model": {"frozen": ["embed"]}}, "cannot take frozen tensors out of a masked update: name them in model.local"),
    ({"compression": {"updates": "bf16"}}, "masking adds up what it cannot read, and so cannot unpack what is packed as bf16"),
    (
        {"dp": {"mechanism": "central", "clip_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5}},
        "the controller cannot clip what secure.method = 'masking' keeps from it",
    ),
    ({"protocol": {"name": "buffered"}}, "masks cancel in the sum of a cohort that began together, and buffered combines"),
    (
        {"protocol": {"options": {"min_updates": 7, "late_updates": "keep"}}},
        'a late update\'s masks belong to a round that is over: write late_updates = "refuse"',
    ),
    (
        {"protocol": {"options": {"min_updates": 6}}},
        "with fewer than 7 of 10 learners a round's masks cannot be taken away, and min_updates = 6: write min_updates = 7",
    ),
    ({"protocol": {}}, "and min_updates = 1: write min_updates = 7"),
    (
        {"learners": {"count": 2, "min": 2}, "protocol": {"options": {"min_updates": 2}}},
        "the sum of fewer than 3 updates tells its learners each other's, and rounds have 2",
    ),
    (
        {"selection": {"policy": "uniform", "options": {"count": 2}}, "protocol": {"options": {"min_updates": 2}}},
        "the sum of fewer than 3 updates tells its learners each other's, and rounds have 2",
    ),
    (
        {"learners": {"count": 300, "min": 300}, "protocol": {"options": {"min_updates": 200}}},
        "each of 300 learners would share masks with all others, and 255 are the most: write neighbours = ",
    ),
    (
        {
            "learners": {"count": 3000, "min": 3000},
            "protocol": {"options": {"min_updates": 70}},
            "secure": {"method": "masking", "options": {"neighbours": 100, "factor_max": 10_000_000}},
        },
        "3,000 learners with factors up to factor_max = 10,000,000 do not fit into 32 bits",
    ),
    ({"secure": {"method": "masking", "options": {"bits": 16}}}, "masking has bits = 16; a word has 32 or 64"),
    ({"secure": {"method": "masking", "options": {"clip": 0.0}}}, "masking has clip = 0.0"),
    ({"secure": {"method": "masking", "options": {"threshold": 0.4}}}, "masking has threshold = 0.4"),
    ({"secure": {"method": "masking", "options": {"neighbours": 5}}}, "masking has neighbours = 5; give an even number"),
    ({"secure": {"method": "masking", "options": {"factor_max": 0}}}, "masking has factor_max = 0"),
    ({"secure": {"method": "masking", "options": {"stage_timeout_s": 0.0}}}, "masking has stage_timeout_s = 0.0"),
]


@pytest.mark.parametrize(("tables", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_masking_cannot_be_together_with_is_refused(tables: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(**tables)


@pytest.mark.parametrize(
    "tables",
    [
        {"protocol": {"name": "semi_synchronous", "options": {"min_updates": 7}}},
        {"protocol": {"options": {"min_updates": 10, "over_selection": 0.2}}},
        {"model": {"local": ["bn*"]}},
        {"learners": {"count": 500, "min": 500}, "secure": {"method": "masking", "options": {"neighbours": 8}}},
    ],
)
def test_what_goes_together_with_masking_is_taken(tables: dict[str, Any]) -> None:
    assert isinstance(configuration.build_rule(read(**tables)), MaskedMean)


@pytest.mark.parametrize(
    ("terms", "learners", "holders", "needed"),
    [
        (Terms(), 3, 3, 3),
        (Terms(), 4, 4, 3),
        (Terms(), 10, 10, 7),
        (Terms(threshold=0.5), 10, 10, 6),
        (Terms(threshold=1.0), 10, 10, 10),
        (Terms(neighbours=20), 1000, 21, 14),
        (Terms(neighbours=20), 10, 10, 7),
    ],
)
def test_more_than_half_and_at_least_three_must_stay(terms: Terms, learners: int, holders: int, needed: int) -> None:
    assert (terms.holders(learners), terms.needed(learners)) == (holders, needed)


def test_virtual_learners_cannot_mask() -> None:
    with pytest.raises(
        ConfigError, match=r"virtual learners hold no keys, so that secure.method = 'masking' cannot be simulated"
    ):
        simulate(read(), Population())


def test_check_tells_the_threshold_and_the_cost(tmp_path) -> None:
    file = tmp_path / "federation.toml"
    file.write_text('[learners]\ncount = 10\n[protocol]\noptions = {min_updates = 7}\n[secure]\nmethod = "masking"\n')
    shown = CliRunner().invoke(main, ["check", str(file)])
    assert shown.exit_code == 0, shown.output
    assert "secure        masking  (32 bits, 7 of 10 learners must stay; the controller sees sums alone)" in shown.output
    assert "precision     differences up to 4, exact to 9e-07 where updates have a factor of 100\n" in shown.output
    assert "cost          of a million parameters: 4.0 MB an update; about 0.03 s of a learner, 0.03 s of the" in shown.output
