"""Learners' code goes to the hosts: by its path where that is the same there, else by value."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from fedactors import config as configuration
from fedactors.errors import ConfigError
from fedactors.learner import LearnerContext

pytest.importorskip("ray")

from fedactors.ray import code
from fedactors.ray.code import pickled, travelling_entry
from fedactors.ray.errand import NotMade, Origin
from fedactors.ray.host import Host
from tests.e2e import support

HELPED = """
    from rayside import STEP
    from raypack.inner import SIZE

    class Helped:
        num_train_examples = STEP * SIZE

        def __init__(self, context):
            self.place = __file__

        def get_weights(self): ...
        def set_weights(self, weights): ...
        def train(self, weights, params): ...
        def evaluate(self, weights, params): ...
"""


@pytest.fixture
def helped(tmp_path, monkeypatch):
    """A configuration whose learner needs a module and a package that lie beside it."""
    home = tmp_path / "home"
    (home / "sub" / "raypack").mkdir(parents=True)
    (home / "sub" / "rayside.py").write_text("STEP = 3\n")
    (home / "sub" / "raypack" / "__init__.py").write_text("")
    (home / "sub" / "raypack" / "inner.py").write_text("SIZE = 5\n")
    config = support.CONFIG.replace("learner.py:Steady", "sub/learner.py:Helped")
    path = support.project(home, config, HELPED)
    (home / "learner.py").rename(home / "sub" / "learner.py")
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("learner", "rayside", "raypack", "raypack.inner"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield configuration.read(path)
    for name in ("learner", "rayside", "raypack", "raypack.inner"):
        sys.modules.pop(name, None)


def test_where_the_files_are_at_hand_they_are_loaded_from_their_place(helped):
    made = travelling_entry(helped)(LearnerContext())
    assert made.num_train_examples == 15
    assert made.place == str(helped.base_dir / "sub" / "learner.py")


def test_where_they_are_not_they_are_written_anew(helped):
    entry = travelling_entry(helped)
    shutil.rmtree(helped.base_dir)
    made = entry(LearnerContext())
    assert made.num_train_examples == 15
    assert "fedactors-code-" in made.place


def test_code_that_is_too_large_to_travel_is_refused_with_a_remedy(helped, monkeypatch):
    monkeypatch.setattr(code, "CODE_BYTES_MAX", 10)
    with pytest.raises(ConfigError, match="directory of its own"):
        travelling_entry(helped)


LOADS = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).__name__)"


def test_a_class_of_a_module_that_is_nowhere_else_travels_with_it(helped):
    entry = configuration.load_entry(helped)
    done = subprocess.run([sys.executable, "-c", LOADS], input=pickled(entry), capture_output=True, timeout=60, check=True)
    assert done.stdout.strip() == b"Helped"


def test_what_cannot_be_pickled_is_refused_with_a_remedy():
    handle = (number for number in range(3))
    with pytest.raises(ConfigError, match="give a function that makes it there instead"):
        pickled(lambda context: handle)


def test_an_entry_that_makes_no_learner_is_an_answer_of_the_host():
    made = Host([]).make(Origin(LearnerContext(), b"digest"), pickled(lambda context: 3))
    assert isinstance(made, NotMade)
    assert "a learner has" in made.why


def test_an_entry_that_cannot_be_unpickled_is_an_answer_of_the_host():
    made = Host([]).make(Origin(LearnerContext(), b"digest"), b"no pickle")
    assert isinstance(made, NotMade)
    assert made.why.startswith("the learner's entry cannot be unpickled")
