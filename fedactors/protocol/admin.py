"""What drivers and operators say to a controller: both sides of each conversation of the Admin service.

client                          controller, by stream.method
status()                        GET_STATUS     read_status(stream), answer_status(stream, status)
watch, follow(from_number)      WATCH          read_watch(stream), send_news(stream, events) again and again
order(verb, why)                ORDER          read_order(stream), answer_order(stream, done, why)
ship(layout, buffer)            SHIP           as a push: read_opening, receive_blob, answer_push
download(version)               DOWNLOAD       read_download(stream), send_blob
versions()                      LIST_VERSIONS  read_list_versions(stream), send_versions
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message as Proto

from fedactors.errors import AccessDenied, EndOfStream, FederationFailed, NoSuchModel, RemoteProtocolError, TransportError
from fedactors.log import one_line
from fedactors.model import Buffer, Layout, Version
from fedactors.protocol import bodies
from fedactors.protocol._pb import admin_pb2 as pb
from fedactors.protocol.asking import ask, opened
from fedactors.protocol.blobs import MODEL_BYTES_MAX
from fedactors.protocol.messages import DOWNLOAD, GET_STATUS, LIST_VERSIONS, ORDER, SHIP, WATCH
from fedactors.protocol.transfers import Download, FetchRefused, Upload
from fedactors.protocol.versions import KeptVersion, read_versions
from fedactors.protocol.weight_streams import OPEN_TIMEOUT_S
from fedactors.protocol.wire import parsed
from fedactors.record import Event, EventKind
from fedactors.task import TrainReport
from fedactors.transport import FRAME_BYTES_MAX, Channel, Stream

NEWEST = -1
"""The version to download when it is not known."""
PATIENCE_S = 10.0
"""How long a follower tries to reach a controller that it has lost."""
RETRY_S = 0.2
"""Between two attempts."""
EVENT_HEAD_BYTES = 128
"""What an event takes in a frame beside its body, at most."""
BODY_BYTES_MAX = FRAME_BYTES_MAX - 1024
"""Of a status or an event: a round of thousands of learners is one event."""

P = TypeVar("P", bound=Proto)


class Verb(enum.StrEnum):
    """What can be ordered."""

    START = "start"
    """Take the initial weights from a learner, unless some were shipped, and begin to train."""
    STOP = "stop"
    """Combine what the open round has, evaluate, and end."""
    ABORT = "abort"
    """End now: the open round is dropped."""
    PAUSE = "pause"
    """Begin no further round."""
    RESUME = "resume"
    CLOSE = "close"
    """The results are fetched: say goodbye and go down."""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order, and what to write into the record as its reason."""

    verb: Verb
    why: str = ""


_VERBS: dict[Verb, Any] = {verb: pb.OrderRequest.Verb.Value(verb.name) for verb in Verb}
_VERB_OF = {number: verb for verb, number in _VERBS.items()}


class AdminClient:
    """A driver's or an operator's side. Each call is a stream of its own.

    Every method raises Unreachable if the stream cannot be opened, StreamClosed if the controller is gone or refuses to serve it
    (AccessDenied: because of who asks), and RemoteProtocolError if the answer is none.
    """

    def __init__(self, channel: Channel, *, open_timeout_s: float = OPEN_TIMEOUT_S) -> None:
        self._channel = channel
        self._open_timeout_s = open_timeout_s

    async def status(self) -> dict[str, Any]:
        """The federation's state; the keys are documented in `fedactors.record`."""
        answer = await self._ask(GET_STATUS, pb.StatusRequest(), pb.Status)
        return bodies.unpack("the status", answer.body, BODY_BYTES_MAX)

    async def watch(self, from_number: int = 0) -> AsyncIterator[Sequence[Event]]:
        """Every event from this number on, then the new ones, as they come together; ends when the federation is done."""
        stream = await self._open(WATCH, pb.WatchRequest(from_number=from_number))
        try:
            while True:
                yield _news(parsed(pb.News, await stream.receive()))
        except EndOfStream:
            return
        finally:
            stream.cut("nobody watches any more")

    async def follow(self, from_number: int = 0, *, patience_s: float = PATIENCE_S) -> AsyncIterator[Sequence[Event]]:
        """As `watch`, and comes back after a lost connection, where it was, for as long as `patience_s` in a row."""
        number, loop = from_number, asyncio.get_running_loop()
        heard_s = loop.time()
        while True:
            try:
                async for news in self.watch(number):
                    yield news
                    number, heard_s = news[-1].number + 1, loop.time()
                return
            except AccessDenied:
                raise
            except TransportError:
                if loop.time() - heard_s > patience_s:
                    raise
                await asyncio.sleep(RETRY_S)

    async def order(self, verb: Verb, why: str = "") -> None:
        """Order something.

        Raises:
            FederationFailed: the controller does not do it; the message is its reason.
        """
        answer = await self._ask(ORDER, pb.OrderRequest(verb=_VERBS[verb], why=why), pb.OrderAnswer)
        if not answer.done:
            raise FederationFailed(f"the controller refused to {verb}: {answer.why or 'it gave no reason'}")

    async def ship(self, layout: Layout, buffer: Buffer) -> None:
        """Make these weights version 0.

        Raises:
            FederationFailed: the controller does not take them; the message is its reason.
        """
        stream = await self._channel.open(SHIP, timeout_s=self._open_timeout_s)
        try:
            answer = await Upload("", layout, buffer, TrainReport(0), layout_known=False).send(stream)
        finally:
            stream.cut("shipped")
        if not answer.accepted:
            raise FederationFailed(f"the controller refused the initial weights: {answer.why or 'it gave no reason'}")

    async def download(
        self, version: Version = NEWEST, *, model_bytes_max: int = MODEL_BYTES_MAX
    ) -> tuple[Version, Layout, Buffer]:
        """A version of the global model: its number, its layout, and a buffer that is the caller's.

        Raises:
            NoSuchModel: it never was, or was evicted.
        """
        stream = await self._channel.open(DOWNLOAD, timeout_s=self._open_timeout_s)
        request = pb.DownloadRequest(version=version).SerializeToString()
        try:
            return await Download(version, model_bytes_max=model_bytes_max).receive(stream, request)
        except FetchRefused as refusal:
            raise NoSuchModel(str(refusal)) from refusal
        finally:
            stream.cut("downloaded")

    async def versions(self) -> list[KeptVersion]:
        """What is kept of the global model, ascending."""
        stream, found = await self._open(LIST_VERSIONS, pb.ListVersionsRequest()), list[KeptVersion]()
        try:
            while True:
                found += read_versions(parsed(pb.Versions, await stream.receive()))
        except EndOfStream:
            return found
        finally:
            stream.cut("listed")

    async def _ask(self, method: str, request: Proto, kind: type[P]) -> P:
        return await ask(self._channel, method, request, kind, self._open_timeout_s)

    async def _open(self, method: str, request: Proto) -> Stream:
        return await opened(self._channel, method, request, self._open_timeout_s)


# --------------------------------------------------------------------------------------------------------------- the controller


async def read_status(stream: Stream) -> None:
    """Read the request for the status."""
    parsed(pb.StatusRequest, await stream.receive())


async def answer_status(stream: Stream, status: Mapping[str, Any]) -> None:
    """Tell the status."""
    await stream.send(pb.Status(body=bodies.pack("the status", status, BODY_BYTES_MAX)).SerializeToString())


async def read_watch(stream: Stream) -> int:
    """The number of the first event that is wanted."""
    return parsed(pb.WatchRequest, await stream.receive()).from_number


async def send_news(stream: Stream, events: Iterable[Event]) -> None:
    """Tell a watcher of events, in as few frames as they fit into."""
    news, news_bytes = pb.News(), 0
    for event in events:
        body = bodies.pack(f"event {event.number} ({event.kind})", event.body, BODY_BYTES_MAX)
        if news_bytes + len(body) + EVENT_HEAD_BYTES > FRAME_BYTES_MAX:
            await stream.send(news.SerializeToString())
            news, news_bytes = pb.News(), 0
        news.events.add(number=event.number, unix_time_s=event.unix_time_s, kind=event.kind, body=body)
        news_bytes += len(body) + EVENT_HEAD_BYTES
    if news_bytes:
        await stream.send(news.SerializeToString())


async def read_order(stream: Stream) -> OrderRequest:
    """What is ordered."""
    request = parsed(pb.OrderRequest, await stream.receive())
    verb = _VERB_OF.get(request.verb)
    if verb is None:
        raise RemoteProtocolError(f"order {request.verb} is none that this version knows")
    return OrderRequest(verb, one_line(request.why))


async def answer_order(stream: Stream, done: bool, why: str = "") -> None:
    """Whether it is done, or why not."""
    await stream.send(pb.OrderAnswer(done=done, why=why).SerializeToString())


async def read_download(stream: Stream) -> Version | None:
    """The version that is wanted; None for the newest."""
    version = parsed(pb.DownloadRequest, await stream.receive()).version
    return None if version < 0 else version


async def read_list_versions(stream: Stream) -> None:
    """Read the request for the list of versions."""
    parsed(pb.ListVersionsRequest, await stream.receive())


def _news(message: pb.News) -> list[Event]:
    if not message.events:
        raise RemoteProtocolError("news without an event")
    return [_event(event) for event in message.events]


def _event(message: pb.Event) -> Event:
    try:
        kind = EventKind(message.kind)
    except ValueError:
        raise RemoteProtocolError(
            f"event {message.number} is of kind {message.kind!r:.80}, which this version does not know"
        ) from None
    body = bodies.unpack(f"event {message.number}", message.body, BODY_BYTES_MAX)
    return Event(message.number, message.unix_time_s, kind, body)
