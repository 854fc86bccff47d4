"""`fedactors keys`, and what the other verbs do with a key; federations in one process."""

from __future__ import annotations

import stat
import sys

import numpy as np
import pytest
import safetensors.numpy

from fedactors.privacy.ckks_cost import estimate
from fedactors.privacy.ckks_key import CkksKey
from fedactors.privacy.ckks_parameters import PRESETS
from tests.cli.steady import fedactors, refused, said, up


@pytest.fixture(scope="module")
def run(place):
    return up(place, "sealed", 'secure.method="ckks"')


@pytest.mark.parametrize("package", ["tenseal.sealapi", "zstandard"])
def test_a_key_without_what_it_takes_is_told_the_extra(tmp_path, monkeypatch, package):
    for module in ("fedactors.privacy.ckks_cipher", "fedactors.privacy.ckks_stream"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    assert "which is not installed: pip install 'fedactors[he]'" in refused(2, "keys", "ckks", tmp_path / "key")


def test_a_key_is_made_and_said_where_it_goes(tmp_path):
    file = tmp_path / "key"
    told = said("keys", "ckks", file, "--preset", "fast")
    key = CkksKey.read(file)
    assert key.preset == "fast"
    assert f"the secret key {key.fingerprint} is in {file}; keep it from the controller" in told
    assert 'options = { preset = "fast" }' in told
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "exists already, and what it opens would be lost with it" in refused(2, "keys", "ckks", file)


def test_a_sealed_run_saves_its_last_version_both_ways(run):
    opened, kept = (safetensors.numpy.load_file(run / name) for name in ("model.safetensors", "model.sealed.safetensors"))
    np.testing.assert_allclose(opened["layer.weight"], np.full((3, 2), 3, np.float32), atol=1e-6)
    assert all(name.startswith("ckks/") for name in kept)


def test_versions_are_had_as_they_are_kept_or_opened_with_the_key(run, tmp_path):
    key, file = run / "ckks.key", tmp_path / "model"
    assert "as it is kept: sealed; `fedactors models open` needs the key" in said("models", "get", run, "-o", file)
    assert said("models", "get", run, "--version", 1, "--ckks-key", key, "-o", tmp_path / "one").startswith("version 1 is in")
    np.testing.assert_allclose(safetensors.numpy.load_file(tmp_path / "one")["layer.bias"], 1, atol=1e-6)
    assert "name the key to it with --ckks-key" in refused(2, "models", "open", file, "-o", tmp_path / "two")
    assert said("models", "open", file, "--ckks-key", key, "-o", tmp_path / "two").startswith("version 2 is in")
    assert "layer.weight" in said("models", "diff", run, 1, 2, "--ckks-key", key)


def test_another_key_opens_nothing(run, tmp_path):
    said("keys", "ckks", tmp_path / "other")
    wrong = refused(1, "models", "get", run, "--ckks-key", tmp_path / "other", "-o", tmp_path / "model")
    assert "the model is sealed with the CKKS key" in wrong
    assert not (tmp_path / "model").exists()


def test_a_key_is_refused_where_nothing_is_sealed(place, tmp_path):
    said("keys", "ckks", tmp_path / "key")
    run = ("--in-process", "--run-dir", tmp_path / "run", "--ckks-key", tmp_path / "key")
    wrong = fedactors("up", place / "federation.toml", *run)
    assert wrong.exit_code == 2
    assert "is given, and this federation seals nothing: write method = 'ckks' in [secure]" in wrong.stderr


@pytest.mark.parametrize(("preset", "size"), [("precise", "16.1 MB"), ("fast", "8.0 MB")])
def test_check_tells_what_sealing_costs(place, preset, size):
    sealed = ("--set", 'secure.method="ckks"', "--set", f'secure.options.preset="{preset}"')
    told = said("check", place / "federation.toml", *sealed)
    assert f"secure        ckks, {preset}  (degree" in told
    assert f"of a million parameters: {size} an update" in told


def test_an_estimate_counts_whole_ciphertexts():
    cost = estimate(PRESETS["precise"], updates=10, num_parameters=10_000_000)
    assert cost.update_bytes == 2442 * 4096 * 16
    assert cost.round_bytes == 20 * cost.update_bytes
    assert 1 < cost.learner_s < 20
    assert 0 < cost.controller_s < 10
