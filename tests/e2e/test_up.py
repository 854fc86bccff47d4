"""`fedactors up`, from configuration to saved results, with real learner processes over real gRPC."""

from __future__ import annotations

import re

import numpy as np
import pytest
import safetensors.numpy

from tests.e2e import support

pytestmark = pytest.mark.e2e


def test_a_run_leaves_results_events_model_config_and_logs(tmp_path):
    path = support.project(tmp_path)
    done = support.fedactors("up", path, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    results = support.results(run)
    assert results["stop_reason"] == "round 3 is committed, the last of 3"
    assert [record["round"] for record in results["rounds"]] == [1, 2, 3]
    assert [record["version"] for record in results["rounds"]] == [1, 2, 3]
    for record in results["rounds"]:
        assert record["cohort"] == ["learner-0", "learner-1", "learner-2"]
        assert set(record["phases"]) == {"dispatch_s", "train_s", "combine_s", "evaluate_s"}
        assert all(seconds >= 0 for seconds in record["phases"].values())
        for index in range(3):
            part = record["learners"][f"learner-{index}"]
            assert part["examples"] == 10 * (1 + index)
            assert part["bytes_up"] > 8 * 8 * 4
            assert part["train_metrics"]["loss"] == pytest.approx(1 / record["round"])
            assert part["refused"] is None
    step = 0.5 * (1 * 10 + 2 * 20 + 3 * 30) / 60
    weights = safetensors.numpy.load_file(run / "model.safetensors")
    np.testing.assert_allclose(weights["w"], np.full((8, 8), 3 * step), rtol=1e-6)
    assert results["final"]["metrics"]["mean"] == pytest.approx(3 * step)
    kinds = [event["kind"] for event in support.events(run)]
    assert kinds.count("round_committed") == 3
    assert kinds[-1] == "finished"
    assert "seed = 1" in (run / "config.toml").read_text()
    assert sorted(path.name for path in (run / "logs").iterdir()) == [
        "controller.jsonl", "learner-0.log", "learner-1.log", "learner-2.log",
    ]  # fmt: skip
    assert str(run.name) in done.stdout


def test_the_same_seed_gives_the_same_bits_in_processes_and_in_threads(tmp_path):
    path = support.project(tmp_path)
    digests = []
    for name, where in (("one", []), ("two", ["--in-process"])):
        done = support.fedactors("up", path, *where, "--run-dir", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        digests.append(support.results(tmp_path / name)["final"]["sha256"])
    assert digests[0] == digests[1]


def test_a_saved_model_is_where_another_run_begins(tmp_path):
    path = support.project(tmp_path)
    assert support.fedactors("up", path, "--in-process", "--run-dir", "one", cwd=tmp_path).returncode == 0
    begin = ["--run-dir", "two", "--set", "initial=file:one/model.safetensors"]
    again = support.fedactors("up", path, "--in-process", *begin, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    first = support.results(tmp_path / "one")["final"]["metrics"]["mean"]
    second = support.results(tmp_path / "two")["final"]["metrics"]["mean"]
    assert second == pytest.approx(2 * first)


def test_a_metric_target_stops_the_run(tmp_path):
    config = support.CONFIG.replace("rounds = 3", 'rounds = 50\n    metric = { name = "mean", target = 4.0 }')
    support.up(support.project(tmp_path, config), processes=False)
    results = support.results(tmp_path / "run")
    assert len(results["rounds"]) == 4
    assert "mean" in results["stop_reason"]


def test_ctrl_c_ends_the_round_and_saves(tmp_path):
    config = support.CONFIG.replace("rounds = 3", "rounds = 1000") + "\n[learners.options]\nsleep_s = 0.2\n"
    path = support.project(tmp_path, config.replace("    ", ""))
    with support.started("up", path, "--run-dir", "run", cwd=tmp_path) as process:
        support.wait_for_event(tmp_path / "run", "round_committed")
        children = support.children(process)
        assert len(children) == 3
        support.interrupt(process)
        process.wait(timeout=15)
        support.assert_all_end(children)
    results = support.results(tmp_path / "run")
    assert results["rounds"]
    assert results["final"]["version"] == results["rounds"][-1]["version"]
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert "Traceback" not in (tmp_path / "fedactors.out").read_text()


def test_ctrl_c_twice_ends_at_once(tmp_path):
    config = support.CONFIG + "\n[learners.options]\nevaluate_sleep_s = 30.0\n"
    path = support.project(tmp_path, config.replace("    ", ""))
    with support.started("up", path, "--run-dir", "run", cwd=tmp_path) as process:
        support.wait_for_event(tmp_path / "run", "round_committed")
        children = support.children(process)
        support.interrupt(process)
        support.wait_for_event(tmp_path / "run", "stopping")
        support.interrupt(process)
        assert process.wait(timeout=15) == 130
        support.assert_all_end(children, timeout_s=15)
    assert "Traceback" not in (tmp_path / "fedactors.out").read_text()


def test_a_run_directory_is_never_written_over(tmp_path):
    path = support.project(tmp_path)
    assert support.fedactors("up", path, "--in-process", "--run-dir", "run", cwd=tmp_path).returncode == 0
    again = support.fedactors("up", path, "--run-dir", "run", cwd=tmp_path)
    assert again.returncode == 2
    assert re.search(r"run directory .*run holds a run already; name another with --run-dir", again.stderr)
