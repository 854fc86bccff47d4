"""docs/reports.md is played; the commands of docs/operating.md and docs/dashboard.md are ones, and what they name is there."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from fedactors.cli import main
from tests.docs.test_code_blocks import ROOT, SETS_UP, blocks

DOCS = ROOT / "docs"
REPORTS = DOCS / "reports.md"


def commands(page) -> list[list[str]]:
    """The words of every `fedactors` command of a page, without that one."""
    lines = "".join(text for language, text in blocks(page) if language == "bash").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("fedactors ") and not SETS_UP.match(line)]


def test_the_page_on_reports_is_true(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (federation,) = [text for language, text in blocks(REPORTS) if language == "toml"]
    (tmp_path / "federation.toml").write_text(federation)
    (tmp_path / "line.py").write_text(next(text for language, text in blocks(ROOT / "README.md") if language == "python"))
    said = []
    for words in commands(REPORTS):
        done = CliRunner().invoke(main, [*words, *(["--in-process", "--quiet"] if words[0] == "up" else [])])
        assert done.exit_code == 0, done.output
        said.append(done.output)
    (settings,) = [text for language, text in blocks(REPORTS) if language == "text"]
    assert settings in said[-1]
    assert {path.name for path in tmp_path.iterdir()} >= {"report.md", "rounds.csv", "learners.csv", "both.html"}
    assert (tmp_path / "runs" / "half" / "report.html").stat().st_size < 100_000


@pytest.mark.parametrize("page", ["operating.md", "dashboard.md"])
def test_every_command_is_one(page):
    found = commands(DOCS / page)
    assert len(found) > 3
    for words in found:
        command, arguments = main, words
        with click.Context(main) as context:
            while isinstance(command, click.Group):
                _, command, arguments = command.resolve_command(context, arguments)
        command.make_context(words[0], list(arguments), resilient_parsing=False)


def test_every_figure_that_is_explained_is_told_and_the_other_way_round():
    from tests.observe.test_metrics import every_name

    explained = set(re.findall(r"`(fedactors_\w+)`", (DOCS / "operating.md").read_text(encoding="utf-8")))
    told = {name.removesuffix("_sum").removesuffix("_count") for name in every_name() if name.startswith("fedactors_")}
    assert explained == told - {"fedactors_federation_info"}


def test_every_curve_that_is_explained_is_drawn_and_the_other_way_round():
    from tests.observe.test_scalars import every_name

    text = (DOCS / "operating.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`((?:metrics|train|seconds|bytes|updates|refused|privacy)/\w+)`", text))
    shown = {re.sub(r"^(metrics|train)/.*", r"\1/NAME", name) for name in every_name()}
    assert explained == {re.sub(r"^refused/.*", "refused/REASON", name) for name in shown}
