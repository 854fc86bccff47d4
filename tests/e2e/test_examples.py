"""Every example runs as its README says and learns what it promises."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from fedactors import Federation
from fedactors import config as configuration
from fedactors.record import RoundRecord
from tests.e2e import support

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples"
SHORTENED = {
    "hospitals": ("accuracy", 0.85, 1.0),
    "diabetes": ("r2", 0.1, 0.5),
    "script": ("accuracy", 0.9, 1.0),
    "torch_digits": ("accuracy", 0.9, 1.0),
    "lora": ("accuracy", 0.6, 0.95),
    "fashion_mnist": ("accuracy", 0.4, 0.9, "learners.count=2", "learners.options.images=200", "train.batch_size=8"),
}
"""Four rounds are enough to see that they learn: a metric, between what it is then, and settings to that end."""
PROGRAMS = {"embedded": "clinics.py"}
COMPARED = ("byzantine", "stragglers")
FLOWER = ("flower_client",)
PACKAGES = ("own_rule",)
ELSEWHERE = ("deploy", "quickstart", "web_app")
"""Tested by test_deploy.py, test_newcomer.py and test_web_app.py."""
SCRIPTS = ("secure",)


def test_every_example_is_tested_here():
    known = {*SHORTENED, *PROGRAMS, *COMPARED, *FLOWER, *ELSEWHERE, *PACKAGES, *SCRIPTS}
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == known


@pytest.mark.timeout(180)
def test_encrypted_from_end_to_end_it_learns_as_well_as_in_the_clear(tmp_path):
    """The README's accuracy is the plain quickstart's, too."""
    for example in ("quickstart", *SCRIPTS):
        shutil.copytree(EXAMPLES / example, tmp_path / example, ignore=shutil.ignore_patterns("certs", "run", "results", "*.key"))
    bin_first = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    place = {"PATH": bin_first, "ADDRESS": f"grpcs://127.0.0.1:{support.free_port()}"}
    with (tmp_path / "out").open("w") as out:
        command = ["bash", str(tmp_path / "secure" / "run.sh")]
        process = subprocess.Popen(command, env=support.environment() | place, stdout=out, stderr=out, start_new_session=True)
        try:
            code = process.wait(170)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert code == 0, (tmp_path / "out").read_text()
    sealed = support.results(tmp_path / "secure" / "results")["final"]
    told = re.search(r"([0-9.]+) % of the images", (EXAMPLES / "secure" / "README.md").read_text(encoding="utf-8"))
    assert sealed["metrics"]["accuracy"] == pytest.approx(float(told[1]) / 100, abs=0.005)
    assert sealed["model"] == "model.safetensors"


@pytest.mark.filterwarnings("default")  # what libraries say of so little training, or of themselves
@pytest.mark.parametrize("example", SHORTENED)
async def test_an_example_learns(example):
    metric, least, most, *settings = SHORTENED[example]
    rounds = await run_here(example, "stop.rounds=4", *settings)
    assert rounds[0].metrics[metric] < rounds[-1].metrics[metric]
    assert least < rounds[-1].metrics[metric] < most


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("example", FLOWER)
async def test_a_flower_client_comes_to_flowers_own_result(example):
    """The README's losses are those of Flower 1.41's FedAvg, by `with_flower.py`."""
    found = [round_.metrics["loss"] for round_ in await run_here(example, "stop.rounds=5")]
    told = re.search(r"^loss +(.*)$", (EXAMPLES / example / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert found == pytest.approx([float(loss) for loss in told[1].split()][:5], abs=1e-4)


async def run_here(example: str, *settings: str) -> Sequence[RoundRecord]:
    """The rounds of an example with these settings, in this process: what it imports is imported once for all of them."""
    config = configuration.read(EXAMPLES / example / "federation.toml", settings)
    entry = configuration.load_entry(config)
    async with Federation(config) as federation:
        for _ in range(config.learners.count):
            federation.add_learner(entry)
        return (await federation.run()).rounds


@pytest.mark.parametrize(("example", "program"), PROGRAMS.items())
def test_an_embedded_federation_learns_and_ends(tmp_path, example, program):
    command = [sys.executable, str(EXAMPLES / example / program)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=support.environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    accuracies = [float(number) for number in re.findall(r"^round +\d+ +accuracy (\S+)$", done.stdout, re.MULTILINE)]
    assert len(accuracies) == 10
    assert accuracies[-1] > 0.92


def test_among_stragglers_whoever_waits_for_nobody_gets_there_first(tmp_path):
    curves = as_told("stragglers", tmp_path)
    reached = {curve["federation"]: curve["target_after_s"] for curve in curves}
    assert max(reached, key=reached.get) == "synchronous"
    assert min(reached["asynchronous"], reached["buffered"]) < reached["semi_synchronous"] < reached["synchronous"]
    assert (tmp_path / "stragglers.png").stat().st_size > 10_000


def test_robust_rules_hold_where_the_mean_is_lost_to_liars(tmp_path):
    accuracy = {curve["federation"]: curve["metric"] for curve in as_told("byzantine", tmp_path)}
    assert accuracy.pop("fedavg") < 0.5
    assert min(accuracy.values()) > 0.9


def as_told(example: str, place: Path) -> list[dict]:
    """What the README's command finds, which is its table but for the arithmetic of another machine."""
    lines = (EXAMPLES / example / "README.md").read_text(encoding="utf-8").splitlines()
    (command,) = [line.removeprefix("fedactors ").split() for line in lines if line.startswith("fedactors simulate")]
    words = [EXAMPLES.parent / word if word.startswith("examples/") else word for word in command]
    done = support.fedactors(*words, "--json", "figures.json", cwd=place)
    assert done.returncode == 0, done.stderr
    told = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    curves = json.loads((place / "figures.json").read_text())
    for curve in curves:
        rounds, virtual_s, accuracy, *target_after_s = map(float, told[curve["federation"]])
        assert (curve["rounds"], curve["virtual_s"]) == (rounds, pytest.approx(virtual_s, rel=0.05))
        assert curve["metric"] == pytest.approx(accuracy, abs=0.03)
        if target_after_s:
            assert curve["target_after_s"] == pytest.approx(target_after_s[0], rel=0.15)
    return curves


def test_a_strangers_rule_is_one_package_away(tmp_path, monkeypatch):
    package, site = EXAMPLES / "own_rule", tmp_path / "site"
    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--target", str(site)]
    run(sys.executable, "-m", "pip", "install", *offline, str(package), cwd=tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    tests = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(package / "test_sign_vote.py"), cwd=tmp_path)
    assert "3 passed" in tests
    checked = run(sys.executable, "-m", "fedactors", "check", str(package / "federation.toml"), cwd=tmp_path)
    assert "sign_vote, step_size = 0.015, over median" in checked
    done = support.fedactors("up", package / "federation.toml", "--in-process", "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert support.results(tmp_path / "run")["final"]["metrics"]["accuracy"] > 0.93


def test_a_strangers_rule_is_unknown_without_its_package(tmp_path):
    done = support.fedactors("check", EXAMPLES / "own_rule" / "federation.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "no aggregation rule named 'sign_vote'" in done.stderr


def run(*command: str, cwd: Path) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, env=support.environment(), check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
