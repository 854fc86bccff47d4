"""The README's first command, on a clean clone."""

from __future__ import annotations

import pytest

from tests.e2e.newcomer import quickstart


@pytest.mark.e2e
@pytest.mark.timeout(420)
def test_the_quickstart_runs_on_a_clean_clone(tmp_path):
    assert "model.safetensors" in quickstart(tmp_path)
