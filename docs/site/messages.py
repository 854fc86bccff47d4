"""Every message of an error, from the code: `python docs/site/messages.py > docs/messages.md`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
RAISED = re.compile(
    r"\w*(Error|Refused|Failed|Missing|Mismatch|NoSuchModel|Unreachable|Rejected|Denied|Spent|BadParameter|Damaged|TooManyBrowsers"
    r"|Closed|EndOfStream|Lost|Stopped|Full|Unhandled|Cycle|Timeout|Deadlock)$"
)
COMPLAINS = re.compile(r"\w*(problem|refusal|difference|complaint|why)$")
"""A function of such a name returns what is wrong, for others to raise."""
CHOICES = (ast.BoolOp, ast.IfExp)
LETTERS_MIN = 8
"""A message of fewer stands for what another function says."""
HEAD = """# All messages

Every error that fedactors raises on purpose, by the part that says it; `...` stands for what is named where it is shown.
Most say what to do; those that are met most are explained in [Troubleshooting](troubleshooting.md).
"""


def page() -> str:
    """The page."""
    parts: dict[str, set[str]] = {}
    for path in sorted((ROOT / "fedactors").rglob("*.py")):
        name = str(path.relative_to(ROOT / "fedactors").with_suffix("")).replace("/", ".")
        if not name.startswith(("testing", "cli.templates")):
            parts[name] = {said for said in raised(ast.parse(path.read_text(encoding="utf-8"))) if letters(said) > LETTERS_MIN}
    sections = (
        f"\n## {name}\n\n" + "".join(f"- {shown(said)}\n" for said in sorted(all_said))
        for name, all_said in parts.items()
        if all_said
    )
    return HEAD + "".join(sections)


def raised(tree: ast.AST) -> Iterator[str]:
    """The text of every error that is made, or that a function yields as what is wrong with a configuration."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            names = sorted(assigned(function))
            for said in errors(function):
                yield from text(said, {name: part for line, name, part in names if line < said.lineno})


def errors(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    """What the errors of a function are made of."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and node.args and RAISED.match(getattr(node.func, "id", getattr(node.func, "attr", ""))):
            yield node.args[-1]
        if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 2:
            yield node.value.elts[1]
        if isinstance(node, ast.Return) and node.value is not None and COMPLAINS.match(function.name):
            yield node.value


def assigned(function: ast.AST) -> Iterator[tuple[int, str, str]]:
    """(line, name, text) of each text that a function has a name for, to put it together with others."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and not isinstance(node.value, CHOICES):
            for said in text(node.value, {}):
                yield node.lineno, node.targets[0].id, said


def text(node: ast.expr, parts: dict[str, str]) -> Iterator[str]:
    """A literal's text, or those of several to choose from, with `...` for every value that is no part with a name."""
    match node:
        case ast.Constant(value=str(said)):
            yield said
        case ast.Name(id=name) if name in parts:
            yield parts[name]
        case ast.JoinedStr(values=values):
            yield "".join(piece(value, parts) for value in values)
        case ast.BoolOp(values=values):
            yield from (said for value in values for said in text(value, parts))
        case ast.IfExp(body=one, orelse=other):
            yield from (said for value in (one, other) for said in text(value, parts))


def piece(value: ast.expr, parts: dict[str, str]) -> str:
    """A piece of a formatted text."""
    match value:
        case ast.Constant(value=said):
            return str(said)
        case ast.FormattedValue(value=ast.Name(id=name)):
            return parts.get(name, "...")
    return "..."


def letters(said: str) -> int:
    """How many of a message are its own."""
    return len(said.replace("...", ""))


def shown(said: str) -> str:
    """As Markdown."""
    return "`` " + " ".join(said.split()) + " ``" if "`" in said else f"`{' '.join(said.split())}`"


if __name__ == "__main__":
    print(page(), end="")
