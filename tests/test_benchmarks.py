"""Every benchmark runs in a few seconds by `--smoke`; what it measures beside other tests is not looked at.

So does the comparison with peers, of ourselves alone, by the command of benchmarks/README.md.
"""

from __future__ import annotations

import re
import sys

import pytest

from tests.docs.test_code_blocks import ROOT, run

NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if "--smoke" in path.read_text(encoding="utf-8"))
SLOW = {"connections", "on_ray", "relays", "sharded", "transport"}
"""These start many processes, or a Ray, and are run by hand."""


@pytest.mark.e2e
@pytest.mark.parametrize("name", [name for name in NAMES if name not in SLOW])
def test_a_benchmark_runs(name):
    assert run(sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--smoke", cwd=ROOT)


COMPARISONS = re.findall(
    r"^python (benchmarks/peers/compare\.py) ([^#\n]*)",
    (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.mark.e2e
def test_the_comparison_with_peers_runs():
    (script, options), _ = COMPARISONS
    assert "fedactors, gRPC" in run(sys.executable, script, *options.split(), cwd=ROOT)


@pytest.mark.e2e
def test_the_whole_comparison_is_asked_for_as_the_script_takes_it():
    """It measures for hours, and installs peers: its values are read, and it ends."""
    _, (script, options) = COMPARISONS
    told = run(sys.executable, script, *options.split(), "--help", cwd=ROOT)
    assert all(re.search(rf"{word}\b", told) for word in options.split() if word.startswith("--"))
