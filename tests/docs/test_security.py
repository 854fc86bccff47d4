"""docs/security.md is played: from nothing to a federation over TLS with tokens."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys

from click.testing import CliRunner

from fedactors.cli import main
from tests.docs.test_code_blocks import ROOT, blocks
from tests.docs.test_code_blocks import run as succeed
from tests.docs.test_controller_died import started

PAGE = ROOT / "docs" / "security.md"
FEDERATION, _ = [text for language, text in blocks(PAGE) if language == "toml"]
FIVE, THEN = [text.splitlines() for language, text in blocks(PAGE) if language == "bash"]
LEARNER = """
import numpy as np

class Line:
    def __init__(self, context):
        self.context = context

    def get_weights(self):
        return {"w": np.zeros(2, np.float32)}
    def set_weights(self, weights):
        pass
    def train(self, weights, params):
        return {"w": weights["w"] + 1}, {"num_examples": 1}
    def evaluate(self, weights, params):
        return {"num_examples": 1, "mean": float(weights["w"].mean())}
"""


def words(line: str) -> list[str]:
    return shlex.split(line)[1:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_five_commands_make_a_federation_over_tls_with_tokens(tmp_path, monkeypatch):
    """The port is another one, so that the test does not depend on who else listens; everything else is as written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "federation.toml").write_text(FEDERATION.replace("4450", str(free_port())))
    (tmp_path / "line.py").write_text(LEARNER)
    *ceremony, controller = FIVE
    assert len(FIVE) == 5
    for line in ceremony:
        done = CliRunner().invoke(main, words(line))
        assert done.exit_code == 0, done.output
    learner, driver = THEN
    python = [sys.executable, "-m", "fedactors"]
    with (
        started(*python, *words(controller), "--run-dir", "kept", cwd=tmp_path),
        started(*python, *words(learner), cwd=tmp_path),
    ):
        assert "finished" in succeed(*python, *words(driver), "--run-dir", "run", cwd=tmp_path)
    audit = [json.loads(line) for line in (tmp_path / "kept" / "audit.jsonl").read_text().splitlines()]
    assert {(line["who"], line["by"]) for line in audit} == {("learner 'learner-0'", "token"), ("operator 'ada'", "token")}
    secrets = [(tmp_path / name).read_text().strip() for name in ("learner-0.token", "ada.token")]
    for folder, _, files in os.walk(tmp_path):
        for name in files:
            if not name.endswith((".token", ".pyc")):
                held = (tmp_path / folder / name).read_bytes()
                assert not any(secret.encode() in held for secret in secrets), name
