"""Every code block of the documentation is true: Python and the command lines run, configurations are read.

The lines that set up an environment are run by `nox -s quickstart` and by CI, to the letter.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fedactors import config as configuration
from fedactors.cli import main
from tests.cli.steady import said
from tests.e2e.support import environment

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETS_UP = re.compile(r"^(pip install|apt-get install|nox)\b.*$", re.MULTILINE)
INLINE = re.compile(r"`fedactors ([a-z][^`]*)`")
LANGUAGES = {"bash", "python", "toml", "text"}
PLAYED = {"tutorial.md"}
"""Pages whose blocks build on one another: a test of their own plays them."""
RUN_BY = {
    "README.md": "docs/test_code_blocks.py",
    "CONTRIBUTING.md": "docs/test_code_blocks.py",
    "benchmarks/README.md": "test_benchmarks.py",
    "docs/controller-died.md": "docs/test_controller_died.py",
    "docs/dashboard.md": "docs/test_dashboard.py",
    "docs/many-federations.md": "docs/test_many_federations.py",
    "docs/operating.md": "docs/test_operating.py",
    "docs/ray.md": "ray/test_by_command.py",
    "docs/relays.md": "docs/test_relays.py",
    "docs/reports.md": "docs/test_observing.py",
    "docs/scale.md": "test_scale.py",
    "docs/secure-aggregation.md": "docs/test_secure_aggregation.py",
    "docs/security.md": "docs/test_security.py",
    "docs/stores.md": "docs/test_code_blocks.py",
    "docs/transports.md": "docs/test_transports.py",
    "docs/tutorial.md": "docs/test_pages.py",
    "docs/which-protocol.md": "docs/test_pages.py",
    "fedactors/cli/templates/common/README.md": "docs/test_code_blocks.py",
}
"""Documents with commands, and the test that runs those which do more than set up."""


def documents() -> list[Path]:
    """Every Markdown file that is part of the repository."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines()]


def blocks(document: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of each fenced block."""
    for match in BLOCK.finditer(document.read_text(encoding="utf-8")):
        yield match[1], match[2]


def words(line: str, instead: dict[str, str] | None = None) -> list[str]:
    """The words of a `fedactors` command of a page, without that one; `instead` says what of it is another text here."""
    for told, here in (instead or {}).items():
        assert told in line, f"{line!r} has no {told!r}"
        line = line.replace(told, here)
    program, *arguments = shlex.split(line)
    assert program == "fedactors", line
    return arguments


def parsed(arguments: list[str]) -> click.Context:
    """What the command line makes of these words, without doing it."""
    command, left = main, arguments
    with click.Context(main) as context:
        while isinstance(command, click.Group):
            _, command, left = command.resolve_command(context, left)
    return command.make_context(arguments[0], list(left))


def run(*command: str, cwd: Path, timeout_s: float = 60.0) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, env=environment(), check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_somebody_runs_the_commands_of_every_document():
    """Those of an example are its own test's, below."""
    with_commands = {document for document in documents() if any(language == "bash" for language, _ in blocks(document))}
    examples = {document for document in with_commands if document.is_relative_to(ROOT / "examples")}
    assert {ROOT / name for name in RUN_BY} == with_commands - examples
    for document, test in RUN_BY.items():
        assert Path(document).name in (ROOT / "tests" / test).read_text(encoding="utf-8"), (document, test)


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_says_its_language(document):
    text = document.read_text(encoding="utf-8")
    assert text.count("```") == 2 * len(list(blocks(document)))
    assert {language for language, _ in blocks(document)} <= LANGUAGES


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_the_readme_s_learner_configuration_and_program_run(tmp_path, monkeypatch):
    """In this process, which takes less time; the README's terminals, below, are processes."""
    monkeypatch.chdir(tmp_path)
    python = [text for language, text in blocks(ROOT / "README.md") if language == "python"]
    toml, *_ = [text for language, text in blocks(ROOT / "README.md") if language == "toml"]
    learner, program = python
    (tmp_path / "line.py").write_text(learner)
    (tmp_path / "federation.toml").write_text(toml)
    (tmp_path / "program.py").write_text(program)
    assert "synchronous" in said("check", "federation.toml")
    assert "mse" in said("up", "federation.toml", "--in-process", "--run-dir", "run")
    assert "round 5 is committed, the last of 5" in run(sys.executable, "program.py", cwd=tmp_path)


def test_every_configuration_in_the_documentation_is_one():
    """Some stand for whole files, others for a few tables of one."""
    found = [text for document in documents() for language, text in blocks(document) if language == "toml"]
    assert len(found) > 1
    for text in found:
        configuration.from_mapping(tomllib.loads(text))


def test_the_readme_s_terminals_run_a_federation_together(tmp_path):
    """The port is another one, so that the test does not depend on who else listens; everything else is as written."""
    (block,) = [text for language, text in blocks(ROOT / "README.md") if language == "bash" and "fedactors controller" in text]
    controller, learner, driver = [line.split("#")[0].split() for line in block.splitlines()]
    (tmp_path / "line.py").write_text(next(text for language, text in blocks(ROOT / "README.md") if language == "python"))
    toml = next(text for language, text in blocks(ROOT / "README.md") if language == "toml")
    (tmp_path / "federation.toml").write_text(toml.replace("count = 5", "count = 1"))
    at = ["--address", f"grpc://{tmp_path}/controller.sock"]
    started = []
    try:
        for command in (controller, learner):
            arguments = [sys.executable, "-m", *command, *at]
            started.append(subprocess.Popen(arguments, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL))
        said = run(sys.executable, "-m", *driver, *at, cwd=tmp_path)
        assert "finished" in said
        assert [process.wait(timeout=20) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    "document", [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in PLAYED], ids=lambda path: path.name
)
def test_a_document_s_configurations_are_read_and_its_programs_run(document, tmp_path):
    for number, (language, text) in enumerate(blocks(document)):
        if language == "toml":
            (tmp_path / "federation.toml").write_text(text)
            configuration.read(tmp_path / "federation.toml")
        if language == "python":
            (tmp_path / f"program_{number}.py").write_text(text)
            assert run(sys.executable, f"program_{number}.py", cwd=tmp_path)


@pytest.mark.parametrize("document", sorted((ROOT / "examples").glob("*/README.md")), ids=lambda path: path.parent.name)
def test_an_example_s_readme_gives_the_commands_that_the_examples_test_runs(document):
    """`tests/e2e/test_examples.py` runs every example's configuration or program."""
    commands = "".join(text for language, text in blocks(document) if language == "bash").splitlines()
    runs = [command.split() for command in commands if command and not SETS_UP.match(command)]
    assert runs
    for command in runs:
        paths = [word for word in command if word.startswith("examples/")]
        program = command[: command.index(paths[0])]
        assert program in (["fedactors", "check"], ["fedactors", "up"], ["fedactors", "simulate"], ["python"], ["bash"]), command
        for path in paths:
            assert (ROOT / path).parent == document.parent, command
            assert (ROOT / path).is_file(), command


def test_the_commands_that_set_up_are_those_that_ci_and_nox_run():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ci, nox = (ROOT / ".ci" / "run").read_text(encoding="utf-8"), (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert "grep -m1 -E '^pip install nox && nox' README.md" in ci
    assert re.search(r"^pip install nox && nox$", readme, re.MULTILINE)
    assert "def quickstart(" in nox
    assert re.search(r"^pip install .*fedactors up .*$", readme, re.MULTILINE)


def test_every_command_within_a_sentence_has_its_verb_and_options():
    found = [(document.name, told) for document in documents() for told in INLINE.findall(document.read_text(encoding="utf-8"))]
    assert len(found) > 50
    for document, told in found:
        command, left = main, told.split()
        with click.Context(main) as context:
            while isinstance(command, click.Group) and left:
                command, left = command.get_command(context, left[0]), left[1:]
        assert command is not None, (document, told)
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in left if word.startswith("-")} <= options, (document, told)


def test_every_extra_that_is_installed_somewhere_is_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = {}
    for document in documents():
        for names in re.findall(r"pip install [^`\n]*?\[([\w,]+)\]", document.read_text(encoding="utf-8")):
            installed |= dict.fromkeys(names.split(","), document.name)
    assert len(installed) > 10
    assert not {name: where for name, where in installed.items() if name not in project["optional-dependencies"]}


def test_the_same_three_terminals_are_told_everywhere():
    """Those of the README are run, above."""
    told = {}
    for document in documents():
        for text in (text for language, text in blocks(document) if language == "bash"):
            lines = [line.split("#")[0].split() for line in text.splitlines()]
            if [line[1:3] for line in lines] == [[verb, "federation.toml"] for verb in ("controller", "learner", "driver")]:
                told[document.relative_to(ROOT)] = lines
    assert len(told) > 2
    assert all(lines == told[Path("README.md")] for lines in told.values()), told


def test_contributing_names_sessions_and_tests_that_exist():
    nox = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in re.findall(r"nox -s (\w+)", contributing):
        assert f"def {name}(" in nox, name
    (expression,) = re.findall(r"nox -s tests -- -k (\w+)", contributing)
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert re.search(rf"^ *(?:async )?def test_\w*{expression}", tests, re.MULTILINE)
