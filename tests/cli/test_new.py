"""`fedactors new`: every template's project is checked, tested and run as it stands."""

import asyncio
import compileall
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fedactors import Federation
from fedactors.cli import main
from fedactors.cli.new import COMMON, ENTRIES, TEMPLATES, files
from fedactors.config import load_entry, read
from fedactors.learner import LearnerContext, TrainParams
from fedactors.testing import check_learner
from tests.e2e.support import environment

FILES = {".gitignore", "README.md", "federation.toml", "test_federation.py"}


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes a project; what it imports is forgotten."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(template):
        result = run("new", tmp_path / "first-try", "--template", template)
        assert result.exit_code == 0, result.output
        return tmp_path / "first-try"

    yield write
    for name in set(sys.modules) - before:
        if name.startswith(("learner", "client")):
            del sys.modules[name]


def test_every_template_has_its_entry():
    assert {path.name for path in TEMPLATES.iterdir()} == {*ENTRIES, COMMON}


@pytest.mark.parametrize("template", ENTRIES)
def test_a_project_learns_as_it_stands(project, template):
    place = project(template)
    assert {path.name for path in place.iterdir()} == {*FILES, "client.py" if template == "flower" else "learner.py"}
    config = read(place / "federation.toml")
    assert (config.name, config.learners.entry) == ("first-try", ENTRIES[template])
    entry = load_entry(config)
    task = TrainParams(round=1, version=0, seed=7, learning_rate=config.train.learning_rate)
    check_learner(entry, context=LearnerContext(count=3, seed=config.seed), params=task)
    results = asyncio.run(federated(config, entry))
    assert results.final.metrics["accuracy"] > 0.9


async def federated(config, entry):
    async with Federation(config) as federation:
        for _ in range(config.learners.count):
            federation.add_learner(entry)
        return await federation.run()


@pytest.mark.e2e
def test_a_project_s_own_tests_pass(project):
    command = [sys.executable, "-m", "pytest", "-q"]
    done = subprocess.run(
        command, cwd=project("numpy"), capture_output=True, text=True, env=environment(), timeout=60, check=False
    )
    assert "2 passed" in done.stdout, done.stdout


def test_what_to_do_next_is_said(tmp_path):
    result = run("new", tmp_path / "mine")
    assert result.output.endswith(f"\n  cd {tmp_path / 'mine'}\n  fedactors up federation.toml\n")


def test_no_placeholder_is_left(project):
    place = project("flower")
    assert not [path for path in place.iterdir() for word in ("PROJECT", "ENTRY", "CODE") if word in path.read_text()]


def test_a_directory_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    result = run("new", tmp_path)
    assert result.exit_code == 2
    assert "is there already, and not empty; take another name" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_name_that_names_no_federation_is_refused(tmp_path):
    result = run("new", tmp_path / "two words")
    assert result.exit_code == 2
    assert "'two words' is no name for a project" in result.stderr
    assert not list(Path(tmp_path).iterdir())


def test_templates_that_an_installer_has_compiled_are_written_as_they_were(tmp_path, monkeypatch):
    as_they_were = files("numpy", "mine")
    shutil.copytree(TEMPLATES, tmp_path / "templates")
    compileall.compile_dir(tmp_path / "templates", quiet=1)
    monkeypatch.setattr("fedactors.cli.new.TEMPLATES", tmp_path / "templates")
    assert list((tmp_path / "templates" / COMMON).glob("__pycache__/*.pyc"))
    assert files("numpy", "mine") == as_they_were
