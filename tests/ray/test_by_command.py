"""The command of docs/ray.md, as it stands there: the quickstart on a Ray of its own, which ends with the run."""

from __future__ import annotations

import re
import shlex

import pytest

pytest.importorskip("ray")

import ray

from tests.cli.steady import said
from tests.docs.test_code_blocks import ROOT, SETS_UP, blocks

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def test_the_page_s_command_learns_on_a_ray_of_its_own(tmp_path, monkeypatch):
    (text,) = [text for language, text in blocks(ROOT / "docs" / "ray.md") if language == "bash"]
    (command,) = [line for line in text.splitlines() if not SETS_UP.match(line)]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    told = said(*shlex.split(command)[1:])
    (accuracy,) = re.findall(r"^metrics .*accuracy (\S+)", told, re.MULTILINE)
    assert float(accuracy) == pytest.approx(0.967, abs=0.005)
    assert not ray.is_initialized()
