"""A run as MLflow keeps it: parameters, curves, tags and the final model."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedactors.observe.aside import Aside, without_credentials
from fedactors.observe.scalars import Scalar, scalars
from fedactors.record import Event, EventKind

if TYPE_CHECKING:
    from mlflow import MlflowClient

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a federation tells nobody that it was not told to tell
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # else the package refuses a directory, which is what a run's own place is
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
"""Of the package, in the environment, unless they are there: a server that is away is known as such within a minute."""
CLOSING_S_MAX = 120.0
"""How long the end of a run waits for what is still to be written, before the model."""
POINTS_MAX = 1000
PARAMETERS_MAX = 100
"""What MLflow takes in one request."""
VALUE_CHARS_MAX = 500
"""Of a parameter; servers of older releases refuse more."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is told of a run before it begins.

    Attributes:
        name: of the federation; the experiment's, unless MLFLOW_EXPERIMENT_NAME names another.
        directory: of the run; the MLflow run has its name.
        parameters: of the configuration as run, by dotted key.
        tags: whatever else is known of it.
        models: files of which the first that is there, once the run is over, is its model.
    """

    name: str
    directory: Path
    parameters: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    models: tuple[Path, ...] = ()


class MlflowWriter:
    """Tells MLflow of a run while it goes on; an observer that never waits and never fails.

    A resumed run goes on with its MLflow run, whose id is kept in the run's directory; a parameter that has changed since keeps
    its first value there, since MLflow knows no other. The first failure is logged, and nothing more is told then.

    Args:
        uri: of the tracking server or store.
        subject: the run.
    """

    def __init__(self, uri: str, subject: Subject) -> None:
        self._uri = uri
        self._subject = subject
        self._client: MlflowClient | None = None
        self._run_id = ""
        self._status = "KILLED"
        self._stop_reason = ""
        self._aside: Aside[list[Scalar]] = Aside("mlflow", self._write)
        self._aside.put([])  # so that the MLflow run begins with the run, and not with its first round

    def __call__(self, event: Event) -> None:
        """One more event."""
        if points := scalars(event):
            self._aside.put(points)
        if event.kind is EventKind.FINISHED:
            self._status = "FAILED" if event.body["failed"] else "FINISHED"
            self._stop_reason = event.body["stop_reason"]

    def close(self) -> None:
        """Have the last be written, then the model, which takes the time that it takes."""
        if not self._aside.close(CLOSING_S_MAX):
            return
        try:
            self._conclude()
        except Exception as error:  # as in its thread
            self._aside.give_up(error)

    def _write(self, rounds: list[list[Scalar]]) -> None:
        from mlflow.entities import Metric

        client = self._begun()
        points = [Metric(legal(p.name), p.value, int(p.unix_time_s * 1000), p.step) for round_ in rounds for p in round_]
        for start in range(0, len(points), POINTS_MAX):
            client.log_batch(self._run_id, metrics=points[start : start + POINTS_MAX], synchronous=True)

    def _begun(self) -> MlflowClient:
        if self._client is None:
            for name, setting in SETTINGS.items():
                os.environ.setdefault(name, setting)
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=self._uri)
            self._run_id = self._known(client) or self._new(client)
            self._tell_parameters(client)
            self._client = client
        return self._client

    @property
    def _id_file(self) -> Path:
        return self._subject.directory / "mlflow_run"

    def _known(self, client: MlflowClient) -> str | None:
        """The MLflow run of this run's former life, which runs again; None where there is none at this place."""
        if not self._id_file.exists():
            return None
        uri, _, run_id = self._id_file.read_text(encoding="utf-8").strip().rpartition(" ")
        if uri != without_credentials(self._uri):
            return None
        client.update_run(run_id, status="RUNNING")
        return run_id

    def _new(self, client: MlflowClient) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or self._subject.name
        known = client.get_experiment_by_name(name)
        experiment = client.create_experiment(name) if known is None else known.experiment_id
        directory = self._subject.directory
        run_id: str = client.create_run(experiment, tags=dict(self._subject.tags), run_name=directory.resolve().name).info.run_id
        self._id_file.write_text(f"{without_credentials(self._uri)} {run_id}\n", encoding="utf-8")
        return run_id

    def _tell_parameters(self, client: MlflowClient) -> None:
        from mlflow.entities import Param

        told = client.get_run(self._run_id).data.params
        wanted = {legal(key): shown(value) for key, value in self._subject.parameters.items()}
        new = [Param(key, value) for key, value in wanted.items() if key not in told]
        for start in range(0, len(new), PARAMETERS_MAX):
            client.log_batch(self._run_id, params=new[start : start + PARAMETERS_MAX], synchronous=True)

    def _conclude(self) -> None:
        client = self._begun()
        client.set_tag(self._run_id, "fedactors.stop_reason", self._stop_reason)
        model = next((file for file in self._subject.models if file.exists()), None)
        if model is not None and self._stop_reason:
            client.log_artifact(self._run_id, str(model))
        client.set_terminated(self._run_id, self._status)


def legal(name: str) -> str:
    """A name that MLflow takes, in a store of files too: KIND/NAME or a key, with `_` for what may not be in it."""
    kind, slash, rest = name.partition("/")
    rest = re.sub(r"[^\w.\- ]", "_", rest)
    if slash and rest.strip(".") == "":
        rest = "_" * max(len(rest), 1)  # as a file's name it would be another directory
    return re.sub(r"[^\w.\- ]", "_", kind) + slash + rest


def shown(value: Any) -> str:
    """A setting in words, without the password of an URL."""
    text = without_credentials(str(value))
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[: VALUE_CHARS_MAX - 3]}..."
