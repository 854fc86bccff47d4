"""Every benchmark runs in a few seconds by `--smoke`; what it measures beside other tests is not looked at."""

from __future__ import annotations

import sys

import pytest

from tests.docs.test_code_blocks import ROOT, run

NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if "--smoke" in path.read_text(encoding="utf-8"))
SLOW = {"connections", "transport"}
"""These start many processes, and are run by hand."""


@pytest.mark.e2e
@pytest.mark.parametrize("name", [name for name in NAMES if name not in SLOW])
def test_a_benchmark_runs(name):
    assert run(sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--smoke", cwd=ROOT)
