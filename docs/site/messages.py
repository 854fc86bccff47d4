"""Every message of an error, from the code: `python docs/site/messages.py > docs/messages.md`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
RAISED = re.compile(r"\w*(Error|Refused|Failed|Missing|Mismatch|NoSuchModel|Unreachable|Rejected|Denied|Spent|BadParameter)$")
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
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and RAISED.match(getattr(node.func, "id", getattr(node.func, "attr", ""))):
            yield from text(node.args[-1])
        if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 2:
            yield from text(node.value.elts[1])


def text(node: ast.expr) -> Iterator[str]:
    """A literal's text, if it is one."""
    match node:
        case ast.Constant(value=str(said)):
            yield said
        case ast.JoinedStr(values=values):
            yield "".join(part.value if isinstance(part, ast.Constant) else "..." for part in values)


def letters(said: str) -> int:
    """How many of a message are its own."""
    return len(said.replace("...", ""))


def shown(said: str) -> str:
    """As Markdown."""
    return "`` " + " ".join(said.split()) + " ``" if "`" in said else f"`{' '.join(said.split())}`"


if __name__ == "__main__":
    print(page(), end="")
