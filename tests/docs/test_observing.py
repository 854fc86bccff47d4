"""docs/reports.md is played; the figures and curves that docs/operating.md explains are those that are told."""

from __future__ import annotations

import re

from click.testing import CliRunner

from fedactors.cli import main
from tests.docs.test_code_blocks import ROOT, blocks, words

DOCS = ROOT / "docs"
REPORTS = DOCS / "reports.md"


def test_the_page_on_reports_is_true(place):
    said = []
    for line in "".join(text for language, text in blocks(REPORTS) if language == "bash").splitlines():
        done = CliRunner().invoke(main, [*words(line), *(["--in-process", "--quiet"] if " up " in line else [])])
        assert done.exit_code == 0, done.output
        said.append(done.output)
    (settings,) = [text for language, text in blocks(REPORTS) if language == "text"]
    assert settings in said[-1]
    assert {path.name for path in place.iterdir()} >= {"report.md", "rounds.csv", "learners.csv", "both.html"}
    assert (place / "runs" / "half" / "report.html").stat().st_size < 100_000


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
