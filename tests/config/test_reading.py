from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from fedactors import config as configuration
from fedactors.config import Config
from fedactors.errors import ConfigError
from fedactors.scheduling.synchronous import Synchronous
from fedactors.selection.uniform import Uniform
from fedactors.storage.memory import MemoryStorage


def read(directory: Path, text: str, *overrides: str, name: str = "federation.toml") -> Config:
    (directory / name).write_text(textwrap.dedent(text))
    return configuration.read(directory / name, overrides)


def refused(directory: Path, text: str, *overrides: str, name: str = "federation.toml") -> str:
    """The one line that refuses this configuration, without the directory."""
    with pytest.raises(ConfigError) as caught:
        read(directory, text, *overrides, name=name)
    said = str(caught.value)
    assert "\n" not in said
    return said.replace(f"{directory}/", "")


FULL = """
    name = "digits"
    seed = 7
    [learners]
    entry = "learner.py:DigitsLearner"
    count = 3
    options = { alpha = 0.5 }
    [protocol]
    options = { round_timeout_s = 30, min_updates = 2 }
    [selection]
    policy = "uniform"
    options.fraction = 0.5
    [train]
    epochs = 2
    momentum = 0.9
    [evaluate]
    every = 2
    top = [1, 5]
    [stop]
    duration_s = 60
    metric = { name = "accuracy", target = 0.9, patience = 5 }
    [store.options]
    lineage_length = 2
"""


def test_every_table_arrives_where_it_belongs(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    assert (config.name, config.seed, config.learners.count, config.learners.min) == ("digits", 7, 3, 3)
    assert config.learners.options == {"alpha": 0.5}
    assert (config.train.epochs, config.train.steps, config.train.options) == (2.0, None, {"momentum": 0.9})
    assert (config.evaluate.every, config.evaluate.options) == (2, {"top": [1, 5]})
    assert config.base_dir == tmp_path
    assert config.initial_file is None


def test_plugins_are_built_from_the_words(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    assert configuration.build_protocol(config) == Synchronous(round_timeout_s=30.0, min_updates=2)
    assert configuration.build_selection(config) == Uniform(fraction=0.5)
    assert configuration.build_storage(config) == MemoryStorage(lineage_length=2)
    assert type(configuration.build_rule(config)).__name__ == "FedAvg"


def test_stop_conditions_are_those_of_the_stop_table(tmp_path: Path) -> None:
    stop = configuration.stop_conditions(read(tmp_path, FULL))
    assert (stop.rounds, stop.duration_s) == (None, 60.0)
    assert stop.metric is not None
    assert (stop.metric.name, stop.metric.target, stop.metric.direction, stop.metric.patience) == ("accuracy", 0.9, "max", 5)


def test_an_empty_file_is_a_configuration(tmp_path: Path) -> None:
    config = read(tmp_path, "")
    assert config.stop.rounds == 10
    assert config.learners.min == config.learners.count == 1
    assert configuration.stop_conditions(config).metric is None


def test_a_seed_is_drawn_where_none_is_given_and_rounds_are_exact_only_where_one_is(tmp_path: Path) -> None:
    drawn = [read(tmp_path, "") for _ in range(2)]
    assert drawn[0].seed != drawn[1].seed
    assert not drawn[0].aggregation.deterministic
    assert read(tmp_path, "seed = 0").aggregation.deterministic
    assert not read(tmp_path, "seed = 0\n[aggregation]\ndeterministic = false").aggregation.deterministic
    assert read(tmp_path, "[aggregation]\ndeterministic = true").aggregation.deterministic


@pytest.mark.parametrize("text", [FULL, ""])
def test_a_configuration_as_run_reads_back_the_same_from_elsewhere(tmp_path: Path, text: str) -> None:
    config = read(tmp_path, text)
    (tmp_path / "run").mkdir()
    assert read(tmp_path / "run", configuration.to_toml(config), name="config.toml") == config


def test_base_dir_is_relative_to_the_file(tmp_path: Path) -> None:
    config = read(tmp_path, 'base_dir = "sub"\ninitial = "file:a.safetensors"')
    assert config.base_dir == tmp_path / "sub"
    assert config.initial_file == tmp_path / "sub" / "a.safetensors"


def test_yaml_is_read_alike(tmp_path: Path) -> None:
    text = "seed: 7\nlearners:\n  count: 3\nstop: {metric: {name: accuracy, target: 0.9}}\n"
    assert read(tmp_path, text, name="federation.yaml").stop.metric.target == 0.9  # type: ignore[union-attr]


def test_a_mapping_is_read_alike_and_not_changed() -> None:
    given = {"learners": {"count": 3}}
    config = configuration.from_mapping(given, ["learners.min=2"])
    assert (config.learners.count, config.learners.min, config.base_dir) == (3, 2, Path.cwd())
    assert given == {"learners": {"count": 3}}
    with pytest.raises(ConfigError, match=r"^learners.count = 0 must be greater than or equal to 1$"):
        configuration.from_mapping({"learners": {"count": 0}})


def test_overrides_are_toml_values_or_bare_words(tmp_path: Path) -> None:
    config = read(
        tmp_path, "[learners]\ncount = 3", "learners.count=4", "name=other", 'train.schedule=["a", 1]', "stop.metric.name=loss",
        "stop.metric.target=0.1", "stop.metric.direction=min", "train.nested.key=true",
    )  # fmt: skip
    assert (config.learners.count, config.learners.min, config.name) == (4, 4, "other")
    assert config.train.options == {"schedule": ["a", 1], "nested": {"key": True}}
    assert config.stop.rounds is None
    assert config.stop.metric is not None
    assert config.stop.metric.direction == "min"


REFUSED = [
    ("[protocol]\nname = 'synchronus'", "federation.toml:2: no protocol named 'synchronus'; did you mean 'synchronous'? (known"),
    (
        "[protocol]\noptions = {round_timout_s = 3}",
        "federation.toml:2: synchronous has no option 'round_timout_s'; did you mean 'round_timeout_s'? (known: ",
    ),
    (
        "\n[protocol.options]\nmin_updates = '3'",
        'federation.toml:3: synchronous: min_updates = "3" must be a valid integer',
    ),
    ("[protocol.options]\nround_timeout_s = -1", "federation.toml:2: round_timeout_s is -1"),
    ("[protocol.options]\nmin_updates = 2", "federation.toml:2: a round that needs min_updates = 2 never ends"),
    ("[selection]\npolicy = 'unifrm'", "federation.toml:2: no selection policy named 'unifrm'; did you mean 'uniform'?"),
    ("[aggregation]\nrule = 'fedavgg'", "federation.toml:2: no aggregation rule named 'fedavgg'; did you mean 'fedavg'?"),
    ("[aggregation]\nweighting = 'exampels'", "federation.toml:2: no weighting named 'exampels'; did you mean 'examples'?"),
    ("[aggregation]\ndiscount = 'polinomial'", "federation.toml:2: no staleness discount named 'polinomial'; did you mean 'poly"),
    (
        "[aggregation]\ndiscount = 'hinge'\ndiscount_options = {c = 1}",
        "federation.toml:3: hinge has no option 'c' (known: a, b)",
    ),
    ("[aggregation]\ndiscount = 'hinge'\ndiscount_options = {a = -1}", "federation.toml:3: discount 'hinge' has a=-1.0; give a"),
    ("[aggregation]\nrule = 'fedadam'\ncombine = 'medain'", "federation.toml:3: no aggregation rule named 'medain'; did you"),
    ("[aggregation]\nrule = 'fedadam'\ncombine = 'krum'\ncombine_options = {byzantin = 1}", "federation.toml:4: krum has no"),
    ("[aggregation]\nclip_norm = 0", "federation.toml:2: aggregation.clip_norm = 0 must be greater than 0"),
    ("[store]\nurl = 'memry://'", "federation.toml:2: no model store named 'memry'; did you mean 'memory'?"),
    ("[store]\nurl = 'memory'", "federation.toml:2: store.url = \"memory\" is not of the form scheme://place, as in memory://"),
    ("[store]\nurl = 'memory://x'", "federation.toml:2: memory has no option 'place'"),
    ("[learners]\ncount = '3'", 'federation.toml:2: learners.count = "3" must be a valid integer'),
    ("[learners]\ncount = 3\nmin = 5", "federation.toml:3: learners.min = 5 is more than learners.count = 3"),
    ("[learners]\ncount = 3\n[limits]\nlearners_max = 2", "federation.toml:2: learners.count = 3 is more than limits."),
    ("learners.entyr = 'x'", "federation.toml:1: [learners] has no key 'entyr'; did you mean 'entry'?"),
    ("learners = 3", "federation.toml:1: learners = 3 must be a table: [learners]"),
    ("[lerners]", "federation.toml:1: there is no table or key 'lerners'; did you mean 'learners'?"),
    ("rounds = 3", "federation.toml:1: there is no table or key 'rounds'; it belongs in [stop] (known: name,"),
    ("name = 'a b'", 'federation.toml:1: name = "a b" names a directory: up to 64 letters,'),
    ("seed = -1", "federation.toml:1: seed = -1 must be greater than or equal to 0"),
    ("initial = 'model.pt'", 'federation.toml:1: initial = "model.pt" must be "learner" or "file:PATH.safetensors"'),
    ("[stop.metric]\ntarget = 3", "federation.toml:1: [stop.metric] needs the key 'name'"),
    ("[stop.metric]\nname = 'a'", "federation.toml:1: stop.metric needs a target, a patience, or both"),
    (
        "[stop]\nmetric = {name = 'a', target = 1, direction = 'mx'}",
        "federation.toml:2: stop.metric.direction = \"mx\" must be 'max' or 'min'; did you mean 'max'?",
    ),
    ("[stop]\nmetric = {name = 'a', target = 1}\n[evaluate]\nevery = 0", "federation.toml:4: evaluate.every = 0 means that"),
    ("[train]\nepoch = 3", "federation.toml:2: [train] has no key 'epoch'; did you mean 'epochs'?"),
    ("[train]\nday = 2020-01-01", "federation.toml:2: train.day = 2020-01-01 must be a number, a string, true or false,"),
    ("[train]\nlist = [2020-01-01]", "federation.toml:2: train.list = 2020-01-01 must be a number"),
    ("[train]\nepochs = nan", "federation.toml:2: train.epochs = NaN must be a finite number"),
    ("[liveness]\nheartbeat_s = 3.0", "federation.toml:1: liveness.lost_after_s = 5.0 is less than two heartbeats of 3.0 s"),
    ("[controller]\naddress = 'grpc://0.0.0.0:1'", 'federation.toml:2: controller.address = "grpc://0.0.0.0:1" can be reached'),
    ("[controller]\naddress = 'grpc://[::]:1'", 'federation.toml:2: controller.address = "grpc://[::]:1" can be reached from'),
    ("[controller]\naddress = 'grpc://example.org:1'", "insecure = true"),
    ("[controller]\naddress = 'grp://x:1'", "federation.toml:2: no transport named 'grp'; did you mean 'grpc'?"),
    ("[controller]\naddress = '127.0.0.1:1'", "federation.toml:2: address '127.0.0.1:1' is not of the form scheme://place"),
    ("[controller]\naddress = 'tcp://127.0.0.1'", 'federation.toml:2: "tcp://127.0.0.1" is not tcp://host:port, with a'),
    ("[controller]\naddress = 'grpc://127.0.0.1:99999'", 'federation.toml:2: "grpc://127.0.0.1:99999" is not grpc://host:port'),
    ("[train.a]\n[stop]\n[train.a]", "federation.toml:3: [train.a] is there a second time: put its keys together (column"),
    ("[stop]\nrounds = 1\nrounds = 2", "federation.toml:3: this key has a value already: keep one of the two ("),
    ("name = ", "federation.toml:1: Invalid value (end of document)"),
    ("a = 1\n\nb = = 2", "federation.toml:3: Invalid value (column 5)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_a_mistake_is_one_line_with_place_value_and_remedy(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learners:\n  count: 3\n  entyr: x", "federation.yaml:3: [learners] has no key 'entyr'"),
        ("learners: {count: x}", 'federation.yaml:1: learners.count = "x" must be a valid integer'),
        ("learners: [", "federation.yaml:1: "),
        ("- 3", "federation.yaml: a configuration is a mapping of words to values"),
    ],
)
def test_a_mistake_in_yaml_has_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text, name="federation.yaml")


def test_several_mistakes_are_one_line_with_the_first_in_the_file(tmp_path: Path) -> None:
    said = refused(tmp_path, "[train]\nepochs = -1\n[learners]\ncount = 0\n[controller]\ninsecure = 1")
    assert said == "federation.toml:2: train.epochs = -1 must be greater than 0 (and 2 more)"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("learners.count=abc", '--set learners.count: learners.count = "abc" must be a valid integer'),
        ("learners.cuont=1", "--set learners.cuont: [learners] has no key 'cuont'; did you mean 'count'?"),
        ("stop.metric.name=x", "--set stop.metric.name: stop.metric needs a target"),
        ("learners", "--set 'learners' is not of the form key.path=value"),
        ("=3", "--set '=3' is not of the form key.path=value"),
        ("name.first=x", "--set name.first: name is no table"),
    ],
)
def test_a_mistake_on_the_command_line_names_the_override(tmp_path: Path, override: str, said: str) -> None:
    assert refused(tmp_path, "name = 'a'", override).startswith(said)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file '.*nope.toml'"):
        configuration.read(tmp_path / "nope.toml")
    with pytest.raises(ConfigError, match=r"is a directory; give the file in it"):
        configuration.read(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary.toml cannot be read"):
        configuration.read(tmp_path / "binary.toml")


@pytest.mark.parametrize(
    "address", ["grpc://127.0.0.1:4450", "grpc://localhost:1", "grpc://[::1]:1", "grpc:///run/a.sock", "memory://a"]
)
def test_addresses_on_this_machine_need_no_tls(tmp_path: Path, address: str) -> None:
    assert read(tmp_path, f"controller.address = '{address}'").controller.address == address


def test_an_open_address_is_taken_where_the_user_insists(tmp_path: Path) -> None:
    assert read(tmp_path, "controller = { address = 'grpc://0.0.0.0:4450', insecure = true }").controller.insecure


def test_a_metric_may_weight_the_updates(tmp_path: Path) -> None:
    assert read(tmp_path, "aggregation.weighting = 'metric:loss'").aggregation.weighting == "metric:loss"


def test_a_learner_that_nobody_named_says_where_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'write entry = "learner.py:MyLearner" in \[learners\]'):
        configuration.load_entry(read(tmp_path, ""))


def test_lines_are_found_in_every_way_to_write_a_key(tmp_path: Path) -> None:
    ways = [
        "learners.count = 0",
        "[learners]\n# count\n count = 0",
        "learners = {\ncount=0\n}".replace("\n", ""),
        '"learners"."count" = 0',
    ]
    assert [refused(tmp_path, way).partition(": ")[0] for way in ways] == [f"federation.toml:{line}" for line in (1, 3, 1, 1)]
