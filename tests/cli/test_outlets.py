"""`--tensorboard`, `--mlflow` and `--traces`: what is refused, and what a run leaves there."""

from __future__ import annotations

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fedactors.driver.saved_events import saved_events
from fedactors.model import GlobalModel
from fedactors.model_file import load
from fedactors.observe.scalars import scalars
from tests.cli.steady import fedactors, refused, said
from tests.observe.test_spans import collector, span_names


def mlflow_client(uri):
    from mlflow import MlflowClient  # two seconds, which a worker that collects this file need not spend

    return MlflowClient(tracking_uri=uri)


@pytest.mark.parametrize(
    ("option", "package", "extra"),
    [("tensorboard", "tensorboard", "tensorboard"), ("mlflow", "mlflow", "mlflow"), ("traces", "opentelemetry", "otel")],
)
def test_without_the_extra_one_line_says_which(place, tmp_path, monkeypatch, option, package, extra):
    def without(name):
        if name.startswith(f"{package}."):
            raise ModuleNotFoundError(name=package)
        return None if name == package else name

    monkeypatch.setattr("fedactors.cli.outlets.find_spec", without)
    said = refused(2, "up", place / "federation.toml", "--in-process", "--run-dir", tmp_path / "run", f"--{option}")
    assert f"pip install 'fedactors[{extra}]'" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["up", "driver"])
def test_an_endpoint_that_is_no_url_is_refused(place, verb):
    assert "write one as in http://127.0.0.1:4318" in refused(3, verb, place / "federation.toml", "--traces", "localhost:4318")


def test_a_file_that_was_meant_as_the_federation_s_is_no_directory(place):
    result = fedactors("up", "--tensorboard", place / "federation.toml")
    assert result.exit_code == 2
    assert "write it before --tensorboard" in " ".join(result.stderr.split())


def test_a_directory_that_cannot_be_is_refused_in_one_line(place, tmp_path):
    (tmp_path / "file").touch()
    run = ["up", place / "federation.toml", "--in-process", "-q", "--run-dir", tmp_path / "run"]
    result = fedactors(*run, "--tensorboard", tmp_path / "file" / "curves")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "name another directory" in result.stderr


def test_a_run_and_its_resumption_are_in_all_three(place, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = tmp_path / "run"
    with collector() as (address, posted):
        outlets = ["--tensorboard", "--mlflow", "--traces", address]
        said("up", place / "federation.toml", "--in-process", "-q", "--run-dir", run, *outlets)
        said("up", "--resume", run, "--in-process", "-q", "--set", "stop.rounds=3", *outlets)
    points = [point for event in saved_events(run) for point in scalars(event)]
    assert {point.step for point in points} == {1, 2, 3}

    shown = {(name, one.step): one.value for name, one in in_tensorboard(run / "tensorboard")}
    assert shown == {(point.name, point.step): pytest.approx(point.value) for point in points}

    client = mlflow_client((run / "mlruns").as_uri())
    (kept,) = client.search_runs([client.get_experiment_by_name("steady").experiment_id])
    assert (kept.info.status, kept.data.params["train.learning_rate"]) == ("FINISHED", "1.0")
    history = client.get_metric_history(kept.info.run_id, "metrics/mean")
    assert [(one.step, one.value) for one in history] == [(p.step, p.value) for p in points if p.name == "metrics/mean"]
    model = load(client.download_artifacts(kept.info.run_id, "model.safetensors"))
    assert GlobalModel.initial(model).sha256 == GlobalModel.initial(load(run / "model.safetensors")).sha256

    assert sum(name == "round" for _, _, body in posted for name in span_names(body)) == 3


def test_the_environment_s_tracking_server_is_told_rather_than_the_run_s_own_directory(place, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "shared").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ward 7")
    said("up", place / "federation.toml", "--in-process", "-q", "--run-dir", tmp_path / "run", "--mlflow")
    assert mlflow_client((tmp_path / "shared").as_uri()).get_experiment_by_name("ward 7") is not None
    assert not (tmp_path / "run" / "mlruns").exists()


def in_tensorboard(directory):
    accumulator = EventAccumulator(str(directory)).Reload()
    return [(name, one) for name in accumulator.Tags()["scalars"] for one in accumulator.Scalars(name)]
