"""What users do wrong: one clear line each, a non-zero exit, no traceback, nothing left running."""

from __future__ import annotations

import socket

import psutil
import pytest

from tests.e2e import support

pytestmark = pytest.mark.e2e


def fails(tmp_path, *arguments, config: str = support.CONFIG, code: int, says: list[str]) -> str:
    """Run `up`, and check everything that holds of every failure; the error line."""
    path = support.project(tmp_path, config)
    done = support.fedactors("up", path, "--run-dir", "run", *arguments, cwd=tmp_path)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    for words in says:
        assert words in lines[0], lines[0]
    assert "Traceback" not in done.stderr + done.stdout
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]
    return lines[0]


IN_PROCESS = "--in-process"
"""Where the line does not depend on whether learners are processes of their own, which costs a second each."""


def options(**values: object) -> str:
    """The usual configuration with options for the learner."""
    lines = [f"{key} = {value!r}" for key, value in values.items()]
    return "\n".join([support.CONFIG.replace("    ", ""), "[learners.options]", *lines])


def test_a_misspelt_key(tmp_path):
    config = support.CONFIG.replace("rounds = 3", "ronds = 3")
    fails(tmp_path, config=config, code=2, says=["ronds", "rounds", "federation.toml:"])


def test_a_file_that_is_not_toml(tmp_path):
    fails(tmp_path, config="name = ", code=2, says=["federation.toml"])


def test_a_learner_file_that_does_not_exist(tmp_path):
    config = support.CONFIG.replace("learner.py", "lerner.py")
    fails(tmp_path, config=config, code=2, says=["lerner.py"])


def test_an_occupied_port(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fails(tmp_path, "--set", f"controller.address=grpc://127.0.0.1:{port}", code=3, says=[str(port), "in use"])


def test_an_address_that_other_machines_reach_without_tls(tmp_path):
    fails(tmp_path, "--set", "controller.address=grpc://0.0.0.0:4450", code=2, says=["0.0.0.0", "insecure"])


@pytest.mark.parametrize("where", [[], ["--in-process"]])
def test_a_learner_that_cannot_be_made(tmp_path, where):
    fails(tmp_path, *where, config=options(raise_when="made"), code=4, says=["no data here", "learner.py"])


@pytest.mark.parametrize("where", [[], ["--in-process"]])
def test_a_learner_that_needs_an_extra_which_is_not_installed(tmp_path, monkeypatch, where):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path = support.project(tmp_path, learner="from fedactors.learner.torch import TorchLearner as Steady")
    done = support.fedactors("up", path, *where, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "pip install 'fedactors[torch]'" in line


@pytest.mark.parametrize("where", [[], ["--in-process"]])
def test_learners_that_raise_while_they_train(tmp_path, where):
    fails(tmp_path, *where, config=options(raise_when="train"), code=1, says=["the disk with the data is gone", "learner.py"])


def test_learners_that_return_wrong_shapes(tmp_path):
    fails(tmp_path, IN_PROCESS, config=options(raise_when="shape"), code=1, says=["'w'", "[3, 3]", "[8, 8]"])


def test_learners_that_return_nan(tmp_path):
    fails(tmp_path, IN_PROCESS, config=options(raise_when="nan"), code=1, says=["'b'", "NaN"])


@pytest.mark.parametrize("how", ["train", "shape", "nan"])
def test_one_broken_learner_does_not_stop_the_others(tmp_path, how):
    support.up(support.project(tmp_path, options(raise_when=how, who=[1])), processes=False)
    for record in support.results(tmp_path / "run")["rounds"]:
        assert record["learners"]["learner-1"]["refused"]
        assert record["learners"]["learner-0"]["refused"] is None
    step = 0.5 * (1 * 10 + 3 * 30) / 40
    assert support.results(tmp_path / "run")["final"]["metrics"]["mean"] == pytest.approx(3 * step)


def test_debug_shows_where(tmp_path):
    path = support.project(tmp_path, support.CONFIG.replace("rounds = 3", "ronds = 3"))
    done = support.fedactors("up", path, "--debug", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_driver_without_a_controller(tmp_path):
    path = support.project(tmp_path)
    done = support.fedactors("driver", path, "--address", f"grpc://{tmp_path}/none.sock", "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 3
    assert "none.sock" in done.stderr
