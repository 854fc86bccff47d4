from __future__ import annotations

import json
import math

import numpy as np
import pytest
import safetensors.numpy

from fedactors.driver.run_directory import RunDirectory, default_run_directory
from fedactors.errors import ConfigError
from fedactors.model import GlobalModel
from fedactors.record import Event, EventKind, Results

NOTHING = Results("digits", 7, "stopped", False, (), None)


def test_events_are_one_line_each_with_time_and_body(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.write_event(Event(0, 1_700_000_000.25, EventKind.WAITING, {"why": "nobody is here"}))
    directory.close()
    (line,) = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "number": 0, "time": "2023-11-14T22:13:20.250000+00:00", "kind": "waiting", "why": "nobody is here",
    }  # fmt: skip


def test_a_number_that_json_has_no_word_for_is_null(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.write_event(Event(0, 0.0, EventKind.UPDATE_ACCEPTED, {"metrics": {"loss": math.nan, "best": math.inf, "ok": 0.5}}))
    directory.close()
    metrics = json.loads((tmp_path / "run" / "events.jsonl").read_text())["metrics"]
    assert metrics == {"loss": None, "best": None, "ok": 0.5}


def test_results_are_replaced_whole(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    for _ in range(2):
        directory.write_results(NOTHING)
    directory.close()
    assert json.loads((tmp_path / "run" / "results.json").read_text())["stop_reason"] == "stopped"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["events.jsonl", "logs", "results.json"]


def test_the_model_is_a_state_dict_with_its_digest(tmp_path):
    model = GlobalModel.initial({"w": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array(3)})
    directory = RunDirectory(tmp_path / "run")
    final = directory.write_model(model, {"accuracy": 0.9})
    directory.close()
    assert (final.version, final.model, final.sha256) == (0, "model.safetensors", model.sha256)
    loaded = safetensors.numpy.load_file(tmp_path / "run" / "model.safetensors")
    np.testing.assert_array_equal(loaded["w"], model.weights["w"])
    assert loaded["steps"] == 3


def test_a_directory_with_a_run_in_it_is_refused_and_left_alone(tmp_path):
    RunDirectory(tmp_path / "run").close()
    with pytest.raises(ConfigError, match=r"holds a run already; name another with --run-dir"):
        RunDirectory(tmp_path / "run")


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot use run directory .*file/run: .*name another with --run-dir"):
        RunDirectory(tmp_path / "file" / "run")


def test_the_default_directory_is_named_after_the_federation():
    assert default_run_directory("digits").parts[0] == "runs"
    assert default_run_directory("digits").name.startswith("digits-20")
