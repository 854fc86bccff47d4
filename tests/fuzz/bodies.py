"""The msgpack maps inside messages: plain values of bounded size, with numbers where numbers are due."""

from __future__ import annotations

from contextlib import suppress

import msgpack

from fedactors.errors import RemoteProtocolError
from fedactors.protocol import bodies
from fedactors.task import EvaluationReport, TrainParams, TrainReport

READERS = (
    bodies.train_report,
    bodies.evaluation_report,
    lambda body: bodies.train_params(1, 0, body),
    lambda body: bodies.evaluate_params(1, 0, body),
)
MAPS = (
    bodies.train_report_body(TrainReport(12, 3, 0.5, 1.0, 2.0, {"loss": 0.25, "n": 2})),
    bodies.evaluation_report_body(EvaluationReport(5, {"accuracy": float("nan")})),
    bodies.train_body(TrainParams(1, 0, 7, steps=3, batch_size=8, learning_rate=0.1, options={"momentum": [0.9, None, b"x"]})),
    {"options": {"a": {"b": [1, 2, {"c": True}]}}},
)
SEEDS = [
    *(bytes([index]) + msgpack.packb(body) for index, body in enumerate(MAPS)),
    b"\x00" + b"\x81\xa1x" * 300,
    b"\x01" + msgpack.packb({"metrics": {"x": msgpack.Timestamp(1)}}),
    b"\x02" + msgpack.packb({"seed": 2**64 - 1, "epochs": -(2**63)}),
    b"\x03\x81\xa7options\xc7\x08\x05" + b"x" * 8,
]


def check(data: bytes) -> None:
    """The first byte says as what the rest is read."""
    if not data:
        return
    with suppress(RemoteProtocolError):
        body = bodies.unpack("the body", data[1:])
        _is_plain(body)
        match READERS[data[0] % len(READERS)](body):
            case TrainReport() | EvaluationReport() as report:
                _is_told(report)
            case TrainParams() as params:
                assert isinstance(params.seed, int)
                assert isinstance(params.options, dict)


def _is_told(report: TrainReport | EvaluationReport) -> None:
    assert all(isinstance(value, (int, float)) for value in report.metrics.values())
    if report.problem() is None:
        assert report.num_examples >= 0


def _is_plain(value: object) -> None:
    assert value is None or isinstance(value, (bool, int, float, str, bytes, list, dict)), repr(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _is_plain(inner)
