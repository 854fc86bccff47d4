"""The figures of docs/differential-privacy.md are the accountant's."""

import re
import tomllib
from pathlib import Path

from fedactors import config as configuration
from fedactors.config import differential
from fedactors.dp.accountant import noise_for

PAGE = (Path(__file__).parents[2] / "docs" / "differential-privacy.md").read_text(encoding="utf-8")


def test_the_table_of_noise_multipliers_is_the_accountants():
    rows = re.findall(r"^\| epsilon (\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert [row[0] for row in rows] == ["1", "2", "8"]
    for epsilon, cells in rows:
        said = [float(cell) for cell in cells.split(" | ")]
        assert said == [noise_for(float(epsilon), rounds, 1e-5) for rounds in (10, 100, 1000)]


def test_the_first_configuration_comes_to_what_the_page_says():
    toml, said = (re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) for language in ("toml", "text"))
    assert toml is not None
    assert said is not None
    assert said[1].split(maxsplit=1)[1].strip() == differential.in_words(configuration.from_mapping(tomllib.loads(toml[1])))
