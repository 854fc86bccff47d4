"""Options that several verbs share."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

_DEBUG = "fedactors.debug"
LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Talk:
    """How much is said.

    Attributes:
        quiet: nothing but the summary and errors.
        verbose: log lines on stderr too.
        log_level: the least level that is logged.
        debug: with tracebacks.
    """

    quiet: bool = False
    verbose: bool = False
    log_level: str = "info"
    debug: bool = False


def debugging(ctx: click.Context) -> bool:
    """Whether `--debug` was given."""
    return bool(ctx.meta.get(_DEBUG, False))


def _note_debug(ctx: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    ctx.meta[_DEBUG] = value
    return value


@dataclass(frozen=True, slots=True)
class Outlets:
    """Which other programs are told of a run; None: not that one, and empty: wherever it is by default.

    Attributes:
        tensorboard: a directory.
        mlflow: the URI of a tracking server, or a directory.
        traces: the URL of an OTLP endpoint.
    """

    tensorboard: str | None = None
    mlflow: str | None = None
    traces: str | None = None


def as_path(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Path | None:
    """A parameter's callback."""
    return None if value is None else Path(value)


file = click.argument("file", callback=as_path)

optional_file = click.argument("file", callback=as_path, required=False)

overrides = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a key of the configuration, as in --set stop.rounds=3."
)

address = click.option(
    "--address",
    metavar="ADDRESS",
    help="Of the controller, as in grpcs://HOST:4450, tcps://HOST:4450, grpc://127.0.0.1:4450 or grpc:///run/fed.sock.",
)

run_dir = click.option("--run-dir", callback=as_path, metavar="DIR", help="Where the run is saved.  [default: runs/NAME-TIME]")


resume = click.option("--resume", callback=as_path, metavar="RUN", help="Go on with the run in this directory; FILE is left out.")


def at(where: str | None) -> list[str]:
    """An `--address` as an override of the configuration, so that it is checked like one."""
    return [] if where is None else [f"controller.address={json.dumps(where)}"]


dashboard_tokens = click.option(
    "--dashboard-tokens",
    callback=as_path,
    metavar="FILE",
    help="Have browsers and Prometheus show an operator's or an observer's token of this list (`fedactors tokens` writes it).",
)

dashboard = click.option(
    "--dashboard",
    is_flag=False,
    flag_value="",
    metavar="[HOST:PORT]",
    help="Show the run on a web page, with buttons to pause and stop it; port 0: any.  [default: 127.0.0.1:4460]",
)

ckks_key = click.option(
    "--ckks-key",
    callback=as_path,
    metavar="FILE",
    help="The key to a federation that seals its models, as `fedactors keys ckks` makes it.",
)

metrics = click.option(
    "--metrics",
    is_flag=False,
    flag_value="",
    metavar="[HOST:PORT]",
    help="Serve figures for Prometheus; port 0: any.  [default: 127.0.0.1:4461]",
)

log_file = click.option("--log-file", callback=as_path, metavar="FILE", help="Write the log there too, as JSON lines.")

debug = click.option("--debug", is_flag=True, callback=_note_debug, expose_value=False, help="Show the traceback of an error.")


def talk(function: Function) -> Function:
    """Adds --quiet, --verbose, --log-level and --debug, given to the verb as one `talk`."""

    @click.option("--quiet", "-q", is_flag=True, help="Show nothing but the summary and errors.")
    @click.option("--verbose", "-v", is_flag=True, help="Show log lines on stderr too.")
    @click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="The least level logged.")
    @debug
    @functools.wraps(function)
    def wrapped(*args: Any, quiet: bool, verbose: bool, log_level: str, **kwargs: Any) -> Any:
        return function(*args, talk=Talk(quiet, verbose, log_level, debugging(click.get_current_context())), **kwargs)

    return wrapped  # type: ignore[return-value]  # the same function, with its options in place of `talk`


def _no_file(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A parameter's callback, for one whose value may be left out: the federation's FILE is easily taken for it."""
    if value and Path(value).is_file():
        option = parameter.opts[0]
        raise click.BadParameter(f"{value} is a file; write it before {option}, or {option}= and the value in one word")
    return value


def outlets(function: Function) -> Function:
    """Adds --tensorboard, --mlflow and --traces, given to the verb as one `outlets`."""

    @click.option(
        "--tensorboard",
        is_flag=False,
        flag_value="",
        callback=_no_file,
        metavar="[DIR]",
        help="Write curves for TensorBoard.  [default: RUN/tensorboard]",
    )
    @click.option(
        "--mlflow",
        is_flag=False,
        flag_value="",
        callback=_no_file,
        metavar="[URI]",
        help="Keep parameters, curves and the model in MLflow.  [default: $MLFLOW_TRACKING_URI, or RUN/mlruns]",
    )
    @click.option(
        "--traces",
        is_flag=False,
        flag_value="",
        callback=_no_file,
        metavar="[ENDPOINT]",
        help="Send OpenTelemetry spans of rounds.  [default: as OTEL_EXPORTER_OTLP_ENDPOINT says, or http://localhost:4318]",
    )
    @functools.wraps(function)
    def wrapped(*args: Any, tensorboard: str | None, mlflow: str | None, traces: str | None, **kwargs: Any) -> Any:
        return function(*args, outlets=Outlets(tensorboard, mlflow, traces), **kwargs)

    return wrapped  # type: ignore[return-value]  # the same function, with its options in place of `outlets`
