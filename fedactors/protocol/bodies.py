"""The msgpack bodies inside messages: parameters, reports, and free-form maps. Plain values only; everything is bounded.

Keys that this side does not know are skipped, keys that are missing take their default: bodies grow as messages do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import msgpack

from fedactors.errors import LocalProtocolError, RemoteProtocolError
from fedactors.model import Version
from fedactors.task import EvaluateParams, EvaluationReport, Round, TrainParams, TrainReport

BODY_BYTES_MAX = 64 * 1024

_COUNTS = ("num_examples", "num_batches")
_NUMBERS = ("epochs", "ms_per_batch", "ms_per_epoch")


def pack(what: str, body: Mapping[str, Any], bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """A map as msgpack.

    Raises:
        LocalProtocolError: it holds something other than plain maps, lists, strings, bytes and numbers, or is too long.
    """
    try:
        packed: bytes = msgpack.packb(body, strict_types=False)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise LocalProtocolError(f"{what} cannot be written: {error}; it takes plain maps, lists, strings and numbers") from error
    if len(packed) > bytes_max:
        raise LocalProtocolError(f"{what} takes {len(packed):,} bytes; at most {bytes_max:,} are allowed")
    return packed


def unpack(what: str, packed: bytes, bytes_max: int = BODY_BYTES_MAX) -> dict[str, Any]:
    """The inverse of `pack`.

    Raises:
        RemoteProtocolError: it is no map with string keys, or too long.
    """
    if len(packed) > bytes_max:
        raise RemoteProtocolError(f"{what} has {len(packed):,} bytes; at most {bytes_max:,} are allowed")
    try:
        body = msgpack.unpackb(packed, max_ext_len=0, ext_hook=_refuse_extension)
    except (ValueError, TypeError, RecursionError) as error:
        raise RemoteProtocolError(f"{what} is not valid msgpack: {error!r:.200}") from error
    if not isinstance(body, dict) or not all(isinstance(key, str) for key in body):
        raise RemoteProtocolError(f"{what} is not a map with string keys")
    return body


def train_body(params: TrainParams) -> dict[str, Any]:
    """Everything but round and version, which stand in the task itself."""
    return {
        "seed": params.seed,
        "epochs": params.epochs,
        "steps": params.steps,
        "batch_size": params.batch_size,
        "learning_rate": params.learning_rate,
        "proximal_mu": params.proximal_mu,
        "options": params.options,
    }


def train_params(round_: Round, version: Version, body: Mapping[str, Any]) -> TrainParams:
    """The inverse of `train_body`."""
    seed, steps, batch_size = (_integer(body, key) for key in ("seed", "steps", "batch_size"))
    return TrainParams(
        round=round_,
        version=version,
        seed=seed or 0,
        epochs=_number(body, "epochs", 1.0),
        steps=steps,
        batch_size=batch_size,
        learning_rate=None if body.get("learning_rate") is None else _number(body, "learning_rate", 0.0),
        proximal_mu=_number(body, "proximal_mu", 0.0),
        options=_map(body, "options"),
    )


def evaluate_params(round_: Round, version: Version, body: Mapping[str, Any]) -> EvaluateParams:
    """From the map {"options": ...}."""
    return EvaluateParams(round_, version, _map(body, "options"))


def train_report_body(report: TrainReport) -> dict[str, Any]:
    """Every field by its name."""
    return {name: getattr(report, name) for name in (*_COUNTS, *_NUMBERS, "metrics")}


def train_report(body: Mapping[str, Any]) -> TrainReport:
    """The inverse of `train_report_body`. Types are checked here, values by `TrainReport.problem`."""
    counts = {name: _integer(body, name) or 0 for name in _COUNTS}
    epochs, ms_per_batch, ms_per_epoch = (
        _number(body, name, default) for name, default in zip(_NUMBERS, (1.0, 0.0, 0.0), strict=True)
    )
    return TrainReport(**counts, epochs=epochs, ms_per_batch=ms_per_batch, ms_per_epoch=ms_per_epoch, metrics=_metrics(body))


def evaluation_report_body(report: EvaluationReport) -> dict[str, Any]:
    """Every field by its name."""
    return {"num_examples": report.num_examples, "metrics": report.metrics}


def evaluation_report(body: Mapping[str, Any]) -> EvaluationReport:
    """The inverse of `evaluation_report_body`. Types are checked here, values by `EvaluationReport.problem`."""
    return EvaluationReport(_integer(body, "num_examples") or 0, _metrics(body))


def _integer(body: Mapping[str, Any], key: str) -> int | None:
    value = body.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise RemoteProtocolError(f"{key} is {value!r:.80}, not an integer")


def _number(body: Mapping[str, Any], key: str, default: float) -> float:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RemoteProtocolError(f"{key} is {value!r:.80}, not a number")
    return value


def _map(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise RemoteProtocolError(f"{key} is {value!r:.80}, not a map with string keys")
    return value


def _metrics(body: Mapping[str, Any]) -> dict[str, float]:
    metrics = _map(body, "metrics")
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RemoteProtocolError(f"metric {name!r:.80} is {value!r:.80}, not a number")
    return metrics


def _refuse_extension(code: int, _: bytes) -> NoReturn:
    raise ValueError(f"extension type {code} is not allowed")
