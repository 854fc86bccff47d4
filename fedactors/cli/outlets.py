"""Other programs that are told of a run while it goes on: TensorBoard, MLflow, and collectors of OpenTelemetry."""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fedactors.cli.options import Outlets
from fedactors.errors import AddressError, ConfigError, ExtraMissing

if TYPE_CHECKING:
    from fedactors.cli.watching import Observer
    from fedactors.config import Config
    from fedactors.driver.run_directory import RunDirectory
    from fedactors.observe.mlflow import MlflowWriter

TALKATIVE = ("mlflow", "opentelemetry", "urllib3")
"""Loggers that tell of each failed attempt what is told once."""


def check(outlets: Outlets) -> None:
    """Refuse what cannot work, before anything of the run is there.

    Raises:
        ExtraMissing: the extra of an outlet is not installed.
        AddressError: the endpoint of the traces is no URL.
    """
    _need(outlets.tensorboard, "--tensorboard", "tensorboard", "tensorboard")
    _need(outlets.mlflow, "--mlflow", "mlflow", "mlflow")
    _need(outlets.traces, "--traces", "opentelemetry.exporter.otlp.proto.http", "otel")
    if outlets.traces and (urlsplit(outlets.traces).scheme not in {"http", "https"} or not urlsplit(outlets.traces).netloc):
        raise AddressError(f"--traces {outlets.traces} is no address of HTTP: write one as in http://127.0.0.1:4318")


def _need(value: str | None, option: str, package: str, extra: str) -> None:
    if value is not None and not _is_installed(package):
        raise ExtraMissing(option, package, extra)


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even what it is in
        return False


@contextmanager
def told(outlets: Outlets, config: Config, directory: RunDirectory) -> Iterator[list[Observer]]:
    """Those of a run's observers who tell other programs, until the run is saved.

    Raises:
        ConfigError: nothing can be written where the curves for TensorBoard shall be.
    """
    observers: list[Observer] = []
    with ExitStack() as exits:
        exits.enter_context(_quiet())
        if outlets.tensorboard is not None:
            from fedactors.observe.tensorboard import TensorBoardWriter

            place = Path(outlets.tensorboard or directory.path / "tensorboard")
            try:
                observers.append(exits.enter_context(closing(TensorBoardWriter(place))))
            except OSError as error:
                raise ConfigError(f"cannot write to --tensorboard {place}: {error}; name another directory") from error
        if outlets.traces is not None:
            from fedactors.observe.tracing import Tracing, otlp

            observers.append(exits.enter_context(closing(Tracing(config.name, otlp(outlets.traces)))))
        if outlets.mlflow is not None:
            observers.append(exits.enter_context(closing(_mlflow(outlets.mlflow, config, directory))))
        yield observers


def _mlflow(uri: str, config: Config, directory: RunDirectory) -> MlflowWriter:
    from importlib.metadata import version

    from fedactors.config import to_toml
    from fedactors.observe.comparison import flat
    from fedactors.observe.mlflow import MlflowWriter, Subject

    tags = {"fedactors.version": version("fedactors"), "fedactors.federation": config.name, "fedactors.run": str(directory.path)}
    models = (directory.model_file, directory.sealed_file)
    subject = Subject(config.name, directory.path, flat(tomllib.loads(to_toml(config))), tags, models)
    return MlflowWriter(uri or os.environ.get("MLFLOW_TRACKING_URI") or (directory.path / "mlruns").resolve().as_uri(), subject)


@contextmanager
def _quiet() -> Iterator[None]:
    levels = {logger: logger.level for logger in map(logging.getLogger, TALKATIVE)}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
