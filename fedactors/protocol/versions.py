"""The list of what is kept of the global model, as it travels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fedactors.model import Version
from fedactors.protocol import bodies
from fedactors.protocol._pb import admin_pb2 as pb
from fedactors.transport import FRAME_BYTES_MAX, Stream

VERSION_HEAD_BYTES = 128
"""What a version takes in a frame beside its facts, at most."""
FACTS_BYTES_MAX = FRAME_BYTES_MAX - 1024


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """One version in a model store.

    Attributes:
        version: its number.
        created_unix_s: when it was put, seconds since 1970.
        nbytes: of its buffer.
        digest: xxh3-128 of the buffer, hexadecimal; empty where the store has no need of it.
        facts: what is known of it, see `fedactors.storage.facts`.
    """

    version: Version
    created_unix_s: float
    nbytes: int
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)


async def send_versions(stream: Stream, versions: Iterable[KeptVersion]) -> None:
    """Tell of versions, in as few frames as they fit into."""
    frame, frame_bytes = pb.Versions(), 0
    for one in versions:
        body = bodies.pack(f"what is known of version {one.version}", one.facts, FACTS_BYTES_MAX)
        if frame_bytes + len(body) + VERSION_HEAD_BYTES > FRAME_BYTES_MAX:
            await stream.send(frame.SerializeToString())
            frame, frame_bytes = pb.Versions(), 0
        written = {"version": one.version, "created_unix_s": one.created_unix_s, "nbytes": one.nbytes, "digest": one.digest}
        frame.versions.add(**written, body=body)
        frame_bytes += len(body) + VERSION_HEAD_BYTES
    if frame_bytes:
        await stream.send(frame.SerializeToString())


def read_versions(message: pb.Versions) -> list[KeptVersion]:
    """What one frame tells of."""
    return [_read(one) for one in message.versions]


def _read(one: pb.KeptVersion) -> KeptVersion:
    facts = bodies.unpack(f"what is known of version {one.version}", one.body, FACTS_BYTES_MAX)
    return KeptVersion(one.version, one.created_unix_s, one.nbytes, one.digest, facts)
