"""What is said around weights, as frames and back: request, header or refusal on Fetch; opening, grant and answer on Push.

The weights themselves are in `chunks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fedactors.errors import RemoteProtocolError
from fedactors.model import NAME_CHARS_MAX, TENSORS_MAX
from fedactors.protocol import bodies
from fedactors.protocol._pb import federation_pb2 as pb
from fedactors.protocol.chunks import split_first
from fedactors.protocol.fields import refuse_many
from fedactors.protocol.messages import BlobHeader, FetchRefusal, FetchRequest, PushAnswer, PushGrant, PushOpening
from fedactors.protocol.wire import WHY_CHARS_MAX, checked_token, content, parsed, refuse_long, written
from fedactors.transport import Frame

DIGEST_BYTES_MAX = 64
DIMENSIONS_MAX = 64


def encode_fetch(request: FetchRequest) -> bytes:
    """The one frame that a learner sends on Fetch."""
    fields = {name: getattr(request, name) for name in FetchRequest.__slots__}
    return written("FetchRequest", lambda: pb.FetchRequest(**fields))


def decode_fetch(frame: Frame) -> FetchRequest:
    """The inverse of `encode_fetch`; RemoteProtocolError if it is none."""
    message = parsed(pb.FetchRequest, frame)
    return FetchRequest(checked_token(message.token), message.version, _digest(message.layout_digest), message.offset)


def encode_header(header: BlobHeader) -> bytes:
    """The first frame of a blob."""
    return written("BlobHeader", lambda: pb.BlobFrame(header=_header_written(header)))


def encode_refusal(refusal: FetchRefusal) -> bytes:
    """The one frame that takes a blob's place."""
    return pb.BlobFrame(refusal=pb.FetchRefusal(why=refusal.why[:WHY_CHARS_MAX])).SerializeToString()


def decode_header(frame: Frame) -> BlobHeader | FetchRefusal:
    """The inverse of `encode_header` and of `encode_refusal`; RemoteProtocolError if it is neither."""
    refuse_many("tensors", frame, (1, 2), TENSORS_MAX)
    message = parsed(pb.BlobFrame, frame)
    if message.HasField("refusal"):
        return FetchRefusal(message.refusal.why[:WHY_CHARS_MAX])
    if not message.HasField("header"):
        raise RemoteProtocolError("a blob must begin with its header")
    return _header(message.header)


def encode_opening(opening: PushOpening) -> bytes:
    """The first frame that a learner sends on Push."""
    report = bodies.pack("the training's report", bodies.train_report_body(opening.report))
    header = BlobHeader(opening.layout_digest, opening.specs, opening.total_bytes)
    frame = written(
        "PushOpening",
        lambda: pb.PushFrame(
            opening=pb.PushOpening(
                token=opening.token, task=opening.task, blob=_header_written(header), report=report, upload=opening.upload
            )
        ),
    )
    return b"".join((frame, opening.chunk)) if opening.chunk else frame


def decode_opening(frame: Frame) -> PushOpening:
    """The inverse of `encode_opening`; RemoteProtocolError if it is none."""
    head, chunk = split_first(frame)
    refuse_many("tensors", head, (1, 3, 2), TENSORS_MAX)
    message = parsed(pb.PushFrame, head)
    if not message.HasField("opening"):
        raise RemoteProtocolError("a push must begin with its opening")
    opening = message.opening
    refuse_long("task", opening.task, NAME_CHARS_MAX)
    header = _header(opening.blob)
    report = bodies.train_report(bodies.unpack("the training's report", opening.report))
    token, upload = checked_token(opening.token), checked_token(opening.upload)
    return PushOpening(token, opening.task, header.layout_digest, header.specs, header.total_bytes, report, chunk, upload)


def encode_reply(reply: PushGrant | PushAnswer) -> bytes:
    """What a controller sends on Push."""
    if isinstance(reply, PushGrant):
        return written("PushGrant", lambda: pb.PushReply(grant=pb.PushGrant(offset=reply.offset)))
    return written("PushAnswer", lambda: pb.PushReply(answer=_answer_written(reply)))


def decode_reply(frame: Frame) -> PushGrant | PushAnswer:
    """The inverse of `encode_reply`; RemoteProtocolError if it is none."""
    return content(parsed(pb.PushReply, frame), _REPLIES)


def _answer_written(answer: PushAnswer) -> pb.PushAnswer:
    return pb.PushAnswer(accepted=answer.accepted, refusal=answer.refusal, why=answer.why[:WHY_CHARS_MAX])


def _answer(message: pb.PushAnswer) -> PushAnswer:
    return PushAnswer(message.accepted, message.refusal[:NAME_CHARS_MAX], message.why[:WHY_CHARS_MAX])


def _header_written(header: BlobHeader) -> pb.BlobHeader:
    tensors = [pb.TensorSpec(name=name, dtype=dtype, shape=shape) for name, dtype, shape in header.specs or ()]
    return pb.BlobHeader(
        layout_digest=header.layout_digest, tensors=tensors, total_bytes=header.total_bytes, version=header.version
    )


def _header(message: pb.BlobHeader) -> BlobHeader:
    refuse_long("tensors", message.tensors, TENSORS_MAX)
    if any(len(tensor.shape) > DIMENSIONS_MAX for tensor in message.tensors):
        raise RemoteProtocolError(f"a tensor with more than {DIMENSIONS_MAX} dimensions")
    specs = tuple((tensor.name, tensor.dtype, tuple(tensor.shape)) for tensor in message.tensors) or None
    return BlobHeader(_digest(message.layout_digest), specs, message.total_bytes, message.version)


def _digest(digest: bytes) -> bytes:
    refuse_long("layout_digest", digest, DIGEST_BYTES_MAX)
    return digest


_REPLIES: Mapping[str, Callable[[Any], PushGrant | PushAnswer]] = {
    "grant": lambda grant: PushGrant(grant.offset),
    "answer": _answer,
}
