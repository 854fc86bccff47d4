"""A run as MLflow keeps it, in a store of files; and a tracking server that is away or answers nonsense."""

from __future__ import annotations

import math
import socket
import threading
from pathlib import Path

import pytest

from fedactors.observe.aside import WAITING_MAX, Aside, without_credentials
from fedactors.observe.mlflow import VALUE_CHARS_MAX, MlflowWriter, Subject, legal, shown
from fedactors.observe.scalars import scalars
from tests.observe.story import Story, whole_run

PARAMETERS = {"stop.rounds": 2, "store.url": "redis://me:secret@host/0", "learners.entry": "line.py:Line"}


@pytest.fixture(autouse=True)
def files_allowed(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")


def subject(directory, **parameters):
    return Subject("digits", directory, PARAMETERS | parameters, {"fedactors.run": "x"}, (directory / "model.safetensors",))


def told(uri, subject, events):
    writer = MlflowWriter(uri, subject)
    for event in events:
        writer(event)
    writer.close()


def only_run(uri):
    from mlflow import MlflowClient  # two seconds, which a worker that collects this file need not spend

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("digits")
    (run,) = client.search_runs([experiment.experiment_id])
    return client, run


def history(client, run, name):
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]


def failures(caplog):
    return [one.getMessage() for one in caplog.records if "outlet_failed" in one.getMessage()]


def test_parameters_curves_tags_and_the_model_are_kept_and_a_resumed_run_goes_on(tmp_path, caplog):
    uri, events = (tmp_path / "mlruns").as_uri(), whole_run()
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    told(uri, subject(tmp_path), events)
    client, run = only_run(uri)
    assert (run.info.status, run.info.run_name) == ("FINISHED", tmp_path.name)
    assert run.data.params == {"stop.rounds": "2", "store.url": "redis://host/0", "learners.entry": "line.py:Line"}
    assert run.data.tags.items() >= {"fedactors.run": "x", "fedactors.stop_reason": "2 rounds are done"}.items()
    points = [point for event in events for point in scalars(event)]
    for name in {point.name for point in points}:
        assert history(client, run, name) == [(point.step, point.value) for point in points if point.name == name]
    assert client.get_metric_history(run.info.run_id, "bytes/up")[0].timestamp == int(points[0].unix_time_s * 1000)
    assert Path(client.download_artifacts(run.info.run_id, "model.safetensors")).read_bytes() == b"weights"

    bad = {"../../a/b": math.nan, "é\n": 1.0}
    told(uri, subject(tmp_path, **{"stop.rounds": 9, "new": 1}), [Story().ended(3, ["a"], loss=0.1, **bad)])
    client, run = only_run(uri)
    assert run.info.status == "KILLED", "its end was not seen"
    assert (run.data.params["stop.rounds"], run.data.params["new"]) == ("2", "1")
    assert history(client, run, "metrics/loss") == [(1, 0.5), (2, 0.25), (3, 0.1)]
    ((step, value),) = history(client, run, "metrics/.._.._a_b")
    assert (step, math.isnan(value)) == (3, True)
    assert not failures(caplog)


def test_a_failed_run_is_one(tmp_path):
    uri = (tmp_path / "mlruns").as_uri()
    told(uri, subject(tmp_path), [Story().finished(failed=True)])
    client, run = only_run(uri)
    assert run.info.status == "FAILED"
    assert client.list_artifacts(run.info.run_id) == [], "there is no model"


def test_a_server_that_is_away_is_told_of_once_and_harms_nothing(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as bound:  # nobody listens
        bound.bind(("127.0.0.1", 0))
        told(f"http://me:secret@127.0.0.1:{bound.getsockname()[1]}", subject(tmp_path), whole_run())
    (line,) = failures(caplog)
    assert "mlflow" in line
    assert "secret" not in line
    assert list(tmp_path.iterdir()) == []


def test_whoever_has_news_never_waits_and_a_place_that_is_too_slow_is_given_up(caplog):
    begun, may_write = threading.Event(), threading.Event()

    def write(_):
        begun.set()
        may_write.wait(20)

    aside = Aside("slow", write)
    aside.put(0)
    begun.wait(20)
    for number in range(WAITING_MAX):
        aside.put(number)
    assert not aside.failed
    aside.put(0)
    assert aside.failed
    may_write.set()
    assert not aside.close(20)
    (line,) = failures(caplog)
    assert "it is slower than the run" in line


def test_all_that_waits_is_written_at_once_and_in_order():
    begun, may_write, written = threading.Event(), threading.Event(), []

    def write(items):
        begun.set()
        may_write.wait(20)
        written.append(items)

    aside = Aside("place", write)
    aside.put(1)
    begun.wait(20)
    for number in (2, 3, 4):
        aside.put(number)
    may_write.set()
    assert aside.close(20)
    assert written == [[1], [2, 3, 4]]


def test_the_end_waits_only_so_long(caplog):
    may_write = threading.Event()
    aside = Aside("stuck", lambda _: may_write.wait(20))
    aside.put(1)
    assert not aside.close(0.01)
    may_write.set()
    assert "within 0.01 s" in failures(caplog)[0]


def test_names_and_values_are_such_as_mlflow_takes():
    assert legal("metrics/accuracy") == "metrics/accuracy"
    assert legal("metrics/..") == "metrics/__"
    assert legal("metrics/") == "metrics/_"
    assert legal("metrics/a/../b:c") == "metrics/a_.._b_c"
    assert shown("x" * 600) == "x" * (VALUE_CHARS_MAX - 3) + "..."
    assert without_credentials("see https://u:p@host/x and redis://:p@h") == "see https://host/x and redis://h"
