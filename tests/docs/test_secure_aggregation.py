"""docs/secure-aggregation.md: its commands seal and open, and what it quotes of `fedactors check` is what it says."""

import re
import tomllib

from click.testing import CliRunner

from fedactors import model_file
from fedactors.cli import main
from tests.cli.steady import said
from tests.docs.test_code_blocks import ROOT, parsed, words

PAGE = (ROOT / "docs" / "secure-aggregation.md").read_text(encoding="utf-8")


def test_the_masked_configuration_comes_to_what_the_page_says(tmp_path):
    section = PAGE[PAGE.index("## Masking") :]
    toml, quoted = (re.search(rf"```{language}\n(.*?)```", section, re.DOTALL) for language in ("toml", "text"))
    assert toml is not None
    assert quoted is not None
    assert tomllib.loads(toml[1])["secure"]["method"] == "masking"
    (tmp_path / "federation.toml").write_text(toml[1])
    shown = CliRunner().invoke(main, ["check", str(tmp_path / "federation.toml")])
    assert quoted[1] in shown.output


def test_what_is_sealed_by_the_commands_of_the_page_is_opened_by_its_last_one(place):
    """The terminals are one process here; `examples/secure/run.sh`, which tests/e2e runs, starts a process for each."""
    toml, commands = (re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1] for language in ("toml", "bash"))
    key, *terminals, opens = [words(line.split("#")[0]) for line in commands.splitlines()]
    (place / "federation.toml").write_text(toml)
    assert [parsed(terminal).info_name for terminal in terminals] == ["controller", "learner", "driver"]
    for terminal in terminals:
        assert is_in_the_example(terminal), terminal
    said(*key)
    up = ["up", *terminals[-1][1:], "--in-process", "--quiet"]
    said(*up, *(f"--set={one}" for one in ("learners.entry=line.py:Line", "train.learning_rate=0.5", "stop.rounds=2")))
    said(*opens)
    assert sorted(model_file.load(place / "model.safetensors")) == ["intercept", "slope"]


def is_in_the_example(terminal: list[str]) -> bool:
    """Whether the script gives this verb, with these options and others."""
    script = (ROOT / "examples" / "secure" / "run.sh").read_text(encoding="utf-8").replace("\\\n", "")
    (line,) = [line.split() for line in script.splitlines() if f"fedactors {terminal[0]} federation.toml" in line]
    return {word for word in terminal if word.startswith("--")} <= set(line)
