"""The README's first command, to the letter, on a clean clone in a fresh environment. It needs a package index."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
@pytest.mark.timeout(420)
def test_the_quickstart_runs_on_a_clean_clone(tmp_path):
    command = [sys.executable, "-m", "nox", "-f", str(ROOT / "noxfile.py"), "-s", "quickstart", "--envdir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "model.safetensors" in done.stdout + done.stderr
