"""What docs/secure-aggregation.md quotes of `fedactors check` is what it says."""

import re
import tomllib
from pathlib import Path

from click.testing import CliRunner

from fedactors.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "secure-aggregation.md").read_text(encoding="utf-8")


def test_the_masked_configuration_comes_to_what_the_page_says(tmp_path):
    section = PAGE[PAGE.index("## Masking") :]
    toml, said = (re.search(rf"```{language}\n(.*?)```", section, re.DOTALL) for language in ("toml", "text"))
    assert toml is not None
    assert said is not None
    assert tomllib.loads(toml[1])["secure"]["method"] == "masking"
    (tmp_path / "federation.toml").write_text(toml[1])
    shown = CliRunner().invoke(main, ["check", str(tmp_path / "federation.toml")])
    assert said[1] in shown.output
