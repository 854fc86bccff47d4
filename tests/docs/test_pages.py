"""The tutorial is played from its first line to its last, and what other pages quote is what is said."""

from __future__ import annotations

import builtins
import re
import sys
import tomllib
from runpy import run_path

import pytest

from tests.cli.steady import said
from tests.docs.test_code_blocks import ROOT, SETS_UP, blocks, run, words

DOCS = ROOT / "docs"
SEVERAL_TERMINALS = "fedactors controller"
"""These commands wait for one another; the README's test runs them."""


def test_the_tutorial_s_commands_do_what_it_says(tmp_path, monkeypatch):
    """In this process, which takes less time; `tests/e2e` starts the same commands as processes."""
    monkeypatch.chdir(tmp_path)
    told = {}
    names = iter(["digits.py", "read.py"])
    for language, text in blocks(DOCS / "tutorial.md"):
        match language:
            case "python":
                name = next(names)
                (tmp_path / name).write_text(text)
                if name == "read.py":
                    told[name] = run(sys.executable, name, cwd=tmp_path)
            case "toml":
                (tmp_path / "federation.toml").write_text(text)
            case "bash" if not SETS_UP.match(text) and not text.startswith(SEVERAL_TERMINALS):
                for line in text.splitlines():
                    told[line] = said(*words(line), *(["--in-process"] if " up " in line else []))
    assert told["read.py"] == "(64, 10) (10,)\n"
    assert "federation.toml is well" in told["fedactors check federation.toml"]
    (accuracy,) = re.findall(
        r"^metrics +accuracy (\S+)$", next(text for line, text in told.items() if "runs/first" in line), re.MULTILINE
    )
    assert float(accuracy) == pytest.approx(0.88, abs=0.02)


def test_the_actors_page_shows_what_its_program_prints(tmp_path):
    (program,) = [text for language, text in blocks(DOCS / "actors.md") if language == "python"]
    *_, output = [text for language, text in blocks(DOCS / "actors.md") if language == "text"]
    (tmp_path / "program.py").write_text(program)
    assert run(sys.executable, "program.py", cwd=tmp_path) == output


def test_messages_that_are_explained_are_said_somewhere():
    code = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "fedactors").rglob("*.py")))
    explained = re.findall(r"\*\*`(.+?)`\*\*", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"))
    assert len(explained) > 20
    for message in explained:
        for piece in message.split("..."):
            assert piece in code, message


def test_all_messages_are_listed():
    listed = run(sys.executable, str(DOCS / "site" / "messages.py"), cwd=ROOT)
    assert listed == (DOCS / "messages.md").read_text(encoding="utf-8"), "python docs/site/messages.py > docs/messages.md"


def test_every_kind_of_error_is_known_to_the_list():
    """Else its messages would be missing there, and nobody would notice."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "fedactors").rglob("*.py"))
    classes = {name: set(bases.split(", ")) for name, bases in re.findall(r"^class (\w+)\((.*)\):", code, re.MULTILINE)}
    errors = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)}
    found, known = set(), run_path(str(DOCS / "site" / "messages.py"))["RAISED"]
    while more := {name for name, bases in classes.items() if errors & bases} - found:
        found |= more
        errors |= more
    assert len(found) > 30
    assert {name for name in found if not known.match(name)} == set()


def test_the_page_on_protocols_tells_the_times_that_its_command_finds():
    page = (DOCS / "which-protocol.md").read_text(encoding="utf-8")
    (line,) = [text for language, text in blocks(DOCS / "which-protocol.md") if language == "bash"]
    told = {name.replace("-", "_"): float(seconds) for seconds, name in re.findall(r"(\d+) s ([a-z-]+)[,.]", page)}
    example = target_after_s((ROOT / "examples" / "stragglers" / "README.md").read_text(encoding="utf-8"))
    assert told == example
    found = target_after_s(run(sys.executable, "-m", "fedactors", *words(line), cwd=ROOT))
    assert found == {name: pytest.approx(told[name], rel=0.15) for name in ("synchronous", "buffered")}


def target_after_s(table: str) -> dict[str, float]:
    """By federation, of a table as `fedactors simulate` prints it: rounds, virtual seconds and an accuracy stand before."""
    rows = re.findall(r"^ *(\w+) +\d+ +\d+ +0\.\d+ +(\d+)(?: .*)?$", table, re.MULTILINE)
    return {name: float(seconds) for name, seconds in rows}


def test_who_may_import_whom_is_drawn_as_it_is_held():
    """`lint-imports` holds it, as tests/test_checks.py sees to."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    *_, drawn = [text for language, text in blocks(ROOT / "ARCHITECTURE.md") if language == "text"]
    assert [re.split(r"  +", line)[0] for line in drawn.splitlines()] == layers


def test_every_page_is_on_the_first_one():
    first = (DOCS / "index.md").read_text(encoding="utf-8")
    assert {path.name for path in DOCS.glob("*.md")} - {"index.md"} <= set(re.findall(r"\]\((?:\./)?([\w-]+\.md)", first))
