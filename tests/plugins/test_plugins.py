from __future__ import annotations

import enum
import sys
import types
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, Literal

import pytest

from fedactors import plugins
from fedactors.errors import ConfigError, ExtraMissing, LearnerFailed, ModelError

GROUP = "fedactors.aggregation"


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Rule:
    rate: float = 0.1
    steps: int | None = None
    sizes: tuple[int, ...] = ()
    mode: Literal["slow", "fast"] = "slow"
    colour: Colour = Colour.RED
    limits: dict[str, float] = field(default_factory=dict)
    hidden: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError(f"rate = {self.rate} must be at least 0")


@dataclass(frozen=True)
class Needy:
    rate: float


class Distribution:
    name = "fedactors"
    requires = ("numpy>=2", 'absent-package>=2; extra == "he"', "other; python_version > '3'")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("plugins_for_tests")
    module.Rule, module.Needy = Rule, Needy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plugins_for_tests", module)
    points = {"rule": "plugins_for_tests:Rule", "needy": "plugins_for_tests:Needy", "gone": "plugins_for_tests:Gone"}
    points |= {"moved": "plugins_for_tests.inner:Rule"}
    known = EntryPoints(EntryPoint(name, value, GROUP) for name, value in points.items())
    monkeypatch.setattr(plugins, "entry_points", lambda **wanted: known.select(**wanted))


def message(group: str, name: str, options: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        plugins.build(group, name, options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_plugin_is_built_with_its_options() -> None:
    options = {"rate": 1, "sizes": [1, 2], "mode": "fast", "colour": "red", "limits": {"a": 1}}
    assert plugins.build(GROUP, "rule", options) == Rule(1.0, None, (1, 2), "fast", Colour.RED, {"a": 1.0})


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    assert message(GROUP, "rul", {}) == (
        "no aggregation rule named 'rul'; did you mean 'rule'? (known: gone, moved, needy, rule)"
    )
    assert "did you mean" not in message(GROUP, "xyzxyz", {})


def test_a_misspelt_option_is_answered_with_the_nearest() -> None:
    assert message(GROUP, "rule", {"rat": 1.0}).startswith("rule has no option 'rat'; did you mean 'rate'? (known: rate, steps,")


def test_a_field_that_the_constructor_does_not_take_is_no_option() -> None:
    assert "has no option 'hidden'" in message(GROUP, "rule", {"hidden": [1]})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate": "fast"}, 'rule: rate = "fast" must be a valid number'),
        ({"steps": 1.5}, "rule: steps = 1.5 must be a valid integer"),
        ({"steps": True}, "rule: steps = true must be a valid integer"),
        ({"mode": "quick"}, "rule: mode = \"quick\" must be 'slow' or 'fast'"),
        ({"colour": "blue"}, "rule: colour = \"blue\" must be 'red'"),
        ({"sizes": [1, "x"]}, 'rule: sizes[1] = "x" must be a valid integer'),
        ({"limits": {"a": "x"}}, 'rule: limits.a = "x" must be a valid number'),
        ({"rate": -1}, "rule: rate = -1.0 must be at least 0"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(options: dict[str, Any], said: str) -> None:
    assert message(GROUP, "rule", options) == said


def test_a_long_wrong_value_is_cut() -> None:
    assert len(message(GROUP, "rule", {"rate": "x" * 1000})) < 200


def test_a_missing_option_is_named() -> None:
    assert message(GROUP, "needy", {}) == "needy needs the option 'rate'"


def test_an_entry_point_whose_object_is_gone_is_one_clear_error() -> None:
    assert "cannot be imported" in message(GROUP, "gone", {})


def test_an_entry_point_whose_module_is_gone_says_reinstall() -> None:
    assert "reinstall" in message(GROUP, "moved", {})


def of_the_house(monkeypatch: pytest.MonkeyPatch, tmp_path, body: str, dist: object) -> EntryPoint:
    (tmp_path / "needing_module.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "needing_module", raising=False)
    point = EntryPoint("needing", "needing_module:Rule", GROUP)
    if dist is not None:
        point = point._for(dist)  # type: ignore[attr-defined]
    monkeypatch.setattr(plugins, "entry_points", lambda **wanted: EntryPoints([point]).select(**wanted))
    return point


def test_an_absent_package_of_an_extra_says_which_extra_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    of_the_house(monkeypatch, tmp_path, "import absent_package", Distribution())
    with pytest.raises(ExtraMissing, match=r"pip install 'fedactors\[he\]'"):
        plugins.load(GROUP, "needing")


def test_an_absent_package_of_a_strangers_plugin_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    of_the_house(monkeypatch, tmp_path, "import absent_package", None)
    assert "pip install absent_package" in message(GROUP, "needing", {})


def test_every_entry_point_of_fedactors_can_be_loaded() -> None:
    for group in set(plugins.KINDS) - {"fedactors.cli"}:
        for point in entry_points(group=group):
            if point.value.startswith("fedactors."):
                assert point.load(), point


# ---------------------------------------------------------------------------------------------------------- a learner's own code


@pytest.fixture
def project(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in sys.modules[name].__file__:
            del sys.modules[name]


def test_a_learner_is_loaded_from_a_file_that_imports_what_lies_beside_it(project) -> None:
    (project / "data_beside.py").write_text("SIZE = 3")
    (project / "learner.py").write_text("import data_beside\nclass MyLearner:\n    size = data_beside.SIZE")
    assert plugins.load_learner("learner.py:MyLearner", project).size == 3


def test_a_learner_is_loaded_from_a_module_beside_the_configuration(project) -> None:
    (project / "mine_here").mkdir()
    (project / "mine_here" / "learner.py").write_text("make = 5")
    assert plugins.load_learner("mine_here.learner:make", project) == 5


def test_two_files_of_one_name_do_not_meet(project) -> None:
    for name in ("a", "b"):
        (project / name).mkdir()
        (project / name / "same_name.py").write_text(f"who = {name!r}")
    assert [plugins.load_learner(f"{name}/same_name.py:who", project) for name in ("a", "b", "a")] == ["a", "b", "a"]


@pytest.mark.parametrize("entry", ["learner.py", ":x", "learner.py:", ""])
def test_an_entry_of_another_form_is_refused(project, entry: str) -> None:
    with pytest.raises(ConfigError, match=r"is not of the form file\.py:object"):
        plugins.load_learner(entry, project)


def test_a_missing_file_is_named_with_the_nearest_beside_it(project) -> None:
    (project / "learner.py").write_text("")
    with pytest.raises(ConfigError, match=r"there is no file .*lerner.py; did you mean 'learner.py'\?"):
        plugins.load_learner("lerner.py:x", project)


def test_a_missing_module_is_named(project) -> None:
    with pytest.raises(ConfigError, match="no module 'no_such_thing'"):
        plugins.load_learner("no_such_thing.learner:x", project)


def test_a_missing_object_is_answered_with_the_nearest(project) -> None:
    (project / "learner.py").write_text("class DigitsLearner: pass")
    with pytest.raises(ConfigError, match=r"learner.py has no 'DigitLearner'; did you mean 'DigitsLearner'\?"):
        plugins.load_learner("learner.py:DigitLearner", project)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("\nraise ValueError('no data\\nat all')", r"ValueError: no data at all \(broken.py:2"),
        ("import absent_package", r"ModuleNotFoundError: No module named 'absent_package' \(broken.py:1"),
        ("def f(:", r"SyntaxError.*broken.py, line 1"),
        ("import sys\nsys.exit(3)", r"SystemExit: 3 \(broken.py:2"),
    ],
)
def test_code_that_raises_while_it_is_imported_is_one_line_with_the_place(project, body: str, said: str) -> None:
    (project / "broken.py").write_text(body)
    with pytest.raises(LearnerFailed, match=said) as caught:
        plugins.load_learner("broken.py:x", project)
    assert "\n" not in str(caught.value)
    assert "broken" not in sys.modules


def test_errors_of_fedactors_in_a_learners_file_pass_unchanged(project) -> None:
    (project / "broken.py").write_text("from fedactors.errors import ModelError\nraise ModelError('as it was')")
    with pytest.raises(ModelError, match=r"^as it was$"):
        plugins.load_learner("broken.py:x", project)
