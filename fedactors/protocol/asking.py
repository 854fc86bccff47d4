"""One question, and what comes back, each call a stream of its own."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message as Proto

from fedactors.protocol.wire import parsed
from fedactors.transport import Channel, Stream

P = TypeVar("P", bound=Proto)


async def ask(channel: Channel, method: str, request: Proto, kind: type[P], timeout_s: float) -> P:
    """The answer to a request, of this kind."""
    stream = await opened(channel, method, request, timeout_s)
    try:
        return parsed(kind, await stream.receive())
    finally:
        stream.cut("answered")


async def opened(channel: Channel, method: str, request: Proto, timeout_s: float) -> Stream:
    """A stream on which the request was sent."""
    stream = await channel.open(method, timeout_s=timeout_s)
    try:
        await stream.send(request.SerializeToString())
        await stream.finish()
    except BaseException:
        stream.cut("the request was not sent")
        raise
    return stream
