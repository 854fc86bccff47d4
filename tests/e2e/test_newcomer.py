"""The README's first command, on a clean clone."""

from __future__ import annotations

import pytest

from tests.e2e import support
from tests.e2e.newcomer import quickstart


@pytest.mark.e2e
@pytest.mark.timeout(420)
def test_the_quickstart_runs_on_a_clean_clone_and_reaches_its_accuracy(tmp_path):
    assert "model.safetensors" in quickstart(tmp_path)
    (run,) = (tmp_path / "clone" / "runs").iterdir()
    results = support.results(run)
    assert len(results["rounds"]) == 10
    assert results["rounds"][0]["metrics"]["accuracy"] < results["final"]["metrics"]["accuracy"]
    assert results["final"]["metrics"]["accuracy"] > 0.94
