"""Messages of sessions and transfers, both ways: a value that is written and read again is the same value."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from fedactors.errors import LocalProtocolError, RemoteProtocolError
from fedactors.protocol import (
    Cancel,
    Evaluated,
    FetchRequest,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    Hello,
    Masking,
    PushAnswer,
    PushGrant,
    PushOpening,
    Task,
    TaskFailure,
    Welcome,
    blob_wire,
    session_wire,
)
from fedactors.protocol.blobs import announced_layout
from fedactors.protocol.messages import BlobHeader, FetchRefusal
from fedactors.task import EvaluateParams, EvaluationReport, TaskKind, TrainParams, TrainReport

MODEL_BYTES_MAX = 1024**2
SPECS = (("layer.weight", "float32", (7, 3)), ("n", "int64", ()))
REPORT = TrainReport(12, 3, 0.5, 1.0, 2.0, {"loss": 0.25})
CONTROL = (
    Hello("anna", "clinics", b"token", 10, 5, ("gpu",), ("t1",), "fedactors/0.1.0"),
    Heartbeat(),
    Evaluated("t1", EvaluationReport(5, {"accuracy": 0.5})),
    TaskFailure("t1", "no data here"),
    Masking("t1", "shares", {"shares": {"learner-1": bytes(94)}}),
    Goodbye(GoodbyeReason.LEFT, "enough"),
    Welcome(b"token", 1.0, 5.0, 1024, True, "clinics", 512, ("head.*",), ("*",), True),
    Task("t2", TaskKind.INITIALISE),
    Task("t3", TaskKind.TRAIN, TrainParams(1, 0, 7, steps=3, batch_size=8, learning_rate=0.1, options={"momentum": [0.9]})),
    Task("t4", TaskKind.EVALUATE, EvaluateParams(1, 1, {"top": 5})),
    Cancel("t3"),
)
OPENING = PushOpening(b"token", "t1", b"d" * 16, SPECS, 192, REPORT, upload=b"name")
DECODERS = (
    session_wire.decode_from_learner,
    session_wire.decode_from_controller,
    blob_wire.decode_fetch,
    blob_wire.decode_header,
    blob_wire.decode_opening,
    blob_wire.decode_reply,
)
SEEDS = [
    *(bytes([decoder]) + session_wire.encode(message) for message in CONTROL for decoder in (0, 1)),
    b"\x02" + blob_wire.encode_fetch(FetchRequest(b"token", 3, b"d" * 16, 1024)),
    b"\x03" + blob_wire.encode_header(BlobHeader(b"d" * 16, SPECS, 192, 3)),
    b"\x03" + blob_wire.encode_refusal(FetchRefusal("evicted")),
    b"\x04" + blob_wire.encode_opening(OPENING),
    b"\x05" + blob_wire.encode_reply(PushGrant(64)),
    b"\x05" + blob_wire.encode_reply(PushAnswer(False, "late", "the round is over")),
]


def check(data: bytes) -> None:
    """The first byte says as what the rest is read."""
    if not data:
        return
    with suppress(RemoteProtocolError):
        _keeps_its_promises(DECODERS[data[0] % len(DECODERS)](data[1:]))


def _keeps_its_promises(message: object) -> None:
    match message:
        case FetchRequest():
            _same(message, blob_wire.decode_fetch(blob_wire.encode_fetch(message)))
        case BlobHeader():
            _same(message, blob_wire.decode_header(blob_wire.encode_header(message)))
            _layout(message)
        case FetchRefusal():
            _same(message, blob_wire.decode_header(blob_wire.encode_refusal(message)))
        case PushOpening():
            again = blob_wire.decode_opening(blob_wire.encode_opening(message))
            assert bytes(message.chunk) == bytes(again.chunk)
            _same(replace(message, chunk=b""), replace(again, chunk=b""))
            assert message.report.problem() != ""
            _layout(BlobHeader(message.layout_digest, message.specs, message.total_bytes))
        case PushGrant() | PushAnswer():
            _same(message, blob_wire.decode_reply(blob_wire.encode_reply(message)))
        case Welcome() | Task() | Cancel():
            _written_again(message, session_wire.decode_from_controller)
        case _:
            _written_again(message, session_wire.decode_from_learner)


def _written_again(message, decode) -> None:
    with suppress(LocalProtocolError):  # msgpack may write what it read with more bytes than are allowed
        _same(message, decode(session_wire.encode(message)))


def _same(one: object, other: object) -> None:
    assert repr(one) == repr(other), f"{one!r} became {other!r}"  # by repr: NaN is a value, and not equal to itself


def _layout(header: BlobHeader) -> None:
    layout = announced_layout(header, None, MODEL_BYTES_MAX)
    assert layout.nbytes == header.total_bytes <= MODEL_BYTES_MAX
