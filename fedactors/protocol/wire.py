"""How every message is written and read: protobuf outside (schemas/fedactors/v1), msgpack for the parts that users extend.

Whatever bytes a peer sends, reading them gives a message or raises RemoteProtocolError, and takes memory in proportion to the
frame: every length is checked before anything is built from it, and what is many is counted before it is read.

Here is what all messages have in common; `session_wire` and `blob_wire` have a function for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Any, TypeVar, cast

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Proto

from fedactors.errors import LocalProtocolError, RemoteProtocolError
from fedactors.transport import Frame

WHY_CHARS_MAX = 4096
"""Longer reasons are cut short rather than refused."""
TOKEN_BYTES_MAX = 64

M = TypeVar("M")
P = TypeVar("P", bound=Proto)


def written(name: str, build: Callable[[], Proto]) -> bytes:
    """The frame of a message that is called `name`.

    Raises:
        LocalProtocolError: a value in it cannot travel.
    """
    try:
        return build().SerializeToString()
    except (TypeError, ValueError, OverflowError) as error:
        raise LocalProtocolError(f"{name} cannot be written: {error}") from error


def parsed(kind: type[P], frame: Frame) -> P:
    """What a frame holds.

    Raises:
        RemoteProtocolError: something else.
    """
    try:
        return kind.FromString(cast("bytes", frame))  # protobuf reads any buffer; its types know of bytes alone
    except DecodeError as error:
        raise RemoteProtocolError(f"a frame of {len(frame):,} bytes is not a {kind.DESCRIPTOR.name}: {error}") from error


def content(outer: Proto, readers: Mapping[str, Callable[[Any], M]]) -> M:
    """What stands in the oneof `body` of an outer message, by the reader of its kind.

    Raises:
        RemoteProtocolError: nothing does.
    """
    field = outer.WhichOneof("body")
    if field is None:
        raise RemoteProtocolError(f"a {outer.DESCRIPTOR.name} without content, or of a kind that this version does not know")
    return readers[field](getattr(outer, field))


def checked_token(token: bytes) -> bytes:
    """The token, which may be empty, if it is no longer than TOKEN_BYTES_MAX; RemoteProtocolError otherwise."""
    refuse_long("token", token, TOKEN_BYTES_MAX)
    return token


def refuse_long(what: str, value: Sized, length_max: int) -> None:
    """Refuse what has more characters, bytes or items than `length_max`.

    Raises:
        RemoteProtocolError: it has.
    """
    if len(value) > length_max:
        raise RemoteProtocolError(f"{what} has length {len(value):,}; at most {length_max:,} is allowed")
