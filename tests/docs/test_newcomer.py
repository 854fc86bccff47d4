"""What the README tells of a newcomer's path is so."""

from __future__ import annotations

import ast
import re

from fedactors.cli.new import ENTRIES, files
from tests.cli.steady import said
from tests.docs.test_code_blocks import ROOT, parsed, words

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = re.search(r"^```bash\n(fedactors new .*?)^```$", README, re.MULTILINE | re.DOTALL)[1]
OWN = ("my_data", "my_model")


def code_lines(source: str) -> int:
    """Lines of statements, without docstrings and without what a newcomer brings: model and data."""
    tree = ast.parse(source)
    kept = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name in OWN)]
    lines = {line for node in kept if not isinstance(node, ast.Expr) for line in range(node.lineno, node.end_lineno + 1)}
    return len({line for line in lines if source.splitlines()[line - 1].strip()})


def test_the_lines_to_a_project_of_one_s_own_lead_to_one(tmp_path, monkeypatch):
    """`tests/cli/test_new.py` has every template's project learn what it shall."""
    monkeypatch.chdir(tmp_path)
    new, enter, up = PROJECT.splitlines()
    assert "torch" in words(new.split("#")[0])
    said(*words(new.split("#")[0]))
    command, directory = enter.split()
    assert command == "cd"
    monkeypatch.chdir(directory)
    assert parsed(words(up)).params["file"].is_file()
    assert {"torch", *new.partition("# or ")[2].split(", ")} == set(ENTRIES)


def test_the_lines_of_a_project_are_as_many_as_told():
    project = files("torch", "mine")
    configuration = [line for line in project["federation.toml"].splitlines() if line.strip()]
    told = re.search(r"^\| fedactors, .* \| (\d+) \| (\d+) \| (\d+) \|$", README, re.MULTILINE)
    commands = ["pip install", *PROJECT.splitlines()]
    assert (len(commands), code_lines(project["learner.py"]) + len(configuration), len(configuration)) == tuple(
        map(int, told.groups())
    )
