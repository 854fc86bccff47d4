"""Where the pages on watching a run are played: the README's learner, once as it is and once in less of a hurry."""

import pytest

from tests.docs.test_code_blocks import ROOT, blocks

LINE = next(text for language, text in blocks(ROOT / "README.md") if language == "python")
FEDERATION = next(text for language, text in blocks(ROOT / "docs" / "reports.md") if language == "toml")
UNHURRIED = """

class Unhurried(Line):
    def train(self, weights, params):
        time.sleep(0.1)
        return super().train(weights, params)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current directory, with `line.py` and the `federation.toml` of docs/reports.md."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line.py").write_text(f"import time\n{LINE}{UNHURRIED}")
    (tmp_path / "federation.toml").write_text(FEDERATION)
    return tmp_path
