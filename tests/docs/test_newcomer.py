"""What the README tells of a newcomer's path is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from fedactors.cli.new import files

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
OWN = ("my_data", "my_model")


def code_lines(source: str) -> int:
    """Lines of statements, without docstrings and without what a newcomer brings: model and data."""
    tree = ast.parse(source)
    kept = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name in OWN)]
    lines = {line for node in kept if not isinstance(node, ast.Expr) for line in range(node.lineno, node.end_lineno + 1)}
    return len({line for line in lines if source.splitlines()[line - 1].strip()})


def test_the_lines_of_a_project_are_as_many_as_told():
    project = files("torch", "mine")
    configuration = [line for line in project["federation.toml"].splitlines() if line.strip()]
    told = re.search(r"^\| fedactors, .* \| (\d+) \| (\d+) \| (\d+) \|$", README, re.MULTILINE)
    commands = [
        "pip install",
        *re.search(r"^```bash\n(fedactors new .*?)^```$", README, re.MULTILINE | re.DOTALL)[1].splitlines(),
    ]
    assert (len(commands), code_lines(project["learner.py"]) + len(configuration), len(configuration)) == tuple(
        map(int, told.groups())
    )
