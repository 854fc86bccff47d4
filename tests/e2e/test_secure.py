"""Sealed federations of real processes: who holds the key and who does not, and what a killed controller leaves."""

from __future__ import annotations

import base64
import json
import signal
from pathlib import Path

import numpy as np
import pytest

from fedactors import model_file
from tests.e2e import support

pytestmark = pytest.mark.e2e

CONFIG = (
    support.CONFIG.replace("rounds = 3", "rounds = 4")
    + """
    [learners.options]
    sleep_s = {sleep_s}

    [secure]
    method = "ckks"
"""
)


def sealed(directory: Path, sleep_s: float) -> Path:
    """A federation that seals; each training takes so long."""
    return support.project(directory, CONFIG.replace("{sleep_s}", str(sleep_s)))


def needles(key: Path) -> list[bytes]:
    """Stretches of a key, as its file holds them and as they are."""
    written = json.loads(key.read_text())["secret"].encode()
    stretches = [written[at : at + 48] for at in range(1000, 9000, 500)]
    return stretches + [base64.b64decode(one) for one in stretches]


def memory_holds(pid: int, wanted: list[bytes]) -> bool:
    """Whether a process has one of these in memory that it can write to."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, access, *_ = line.split()
            start, end = (int(edge, 16) for edge in span.split("-"))
            if not access.startswith("rw") or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            memory.seek(start)
            try:
                held = memory.read(end - start)
            except OSError:
                continue
            if any(one in held for one in wanted):
                return True
    return False


def test_a_controller_holds_no_key_and_its_run_goes_on_when_it_was_killed(tmp_path):
    """Neither as a module that could use it, nor as a file, an argument, a variable of its environment, or bytes in memory."""
    sealed(tmp_path, sleep_s=0.25)
    with support.started("up", "federation.toml", "--run-dir", "run", cwd=tmp_path) as process:
        support.wait_for_event(tmp_path / "run", "round_committed", round=2)
        process.send_signal(signal.SIGSTOP)  # as it is in the middle of a run, for as long as it is looked at
        learners, secret = support.children(process), needles(tmp_path / "run" / "ckks.key")
        assert_knows_the_key(learners[0].pid, secret)
        assert_knows_nothing_of_the_key(process.pid, secret)
        process.send_signal(signal.SIGKILL)
        process.wait()
    support.assert_all_end(learners)
    done = support.fedactors("up", "--resume", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = support.results(tmp_path / "run")
    assert (len(results["rounds"]), results["final"]["model"]) == (4, "model.safetensors")
    weights = model_file.load(tmp_path / "run" / "model.safetensors")
    step = sum(n * 0.5 * n for n in (1, 2, 3)) / 6  # learner i adds 0.5 (1 + i) and has 10 (1 + i) examples
    np.testing.assert_allclose(weights["w"], 4 * step, atol=1e-5)


def assert_knows_the_key(pid: int, secret: list[bytes]) -> None:
    """A learner does, or else the look into the controller would prove nothing."""
    assert "tenseal" in Path(f"/proc/{pid}/maps").read_text()
    assert b"ckks.key" in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert memory_holds(pid, secret)


def assert_knows_nothing_of_the_key(pid: int, secret: list[bytes]) -> None:
    assert "tenseal" not in Path(f"/proc/{pid}/maps").read_text()
    given = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"ckks" not in given
    assert not any("ckks.key" in str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink())
    assert not memory_holds(pid, secret)
