"""Drivers and operators, and what they are answered."""

from contextlib import asynccontextmanager

import numpy as np
import pytest

from fedactors.errors import FederationFailed, LocalProtocolError, RemoteProtocolError, StreamClosed
from fedactors.model import Layout
from fedactors.protocol import (
    DOWNLOAD,
    GET_STATUS,
    LIST_VERSIONS,
    ORDER,
    SHIP,
    WATCH,
    AdminClient,
    BlobReceiver,
    PushAnswer,
    Verb,
    admin,
    answer_push,
    encode_blob,
    read_opening,
    receive_blob,
    send_blob,
)
from fedactors.protocol._pb import admin_pb2 as pb
from fedactors.protocol.versions import KeptVersion, send_versions
from fedactors.record import Event, EventKind
from fedactors.testing.conformance_transport import connected
from fedactors.transport import FRAME_BYTES_MAX, Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.memory import MemoryTransport

LAYOUT = Layout.from_specs([("a", "float32", (1000, 700))])
BUFFER = np.random.default_rng(0).integers(0, 256, LAYOUT.nbytes, np.uint8)
EVENTS = [Event(number, 1.5 + number, kind, {"why": "x", "cohort": ["a", "b"]}) for number, kind in enumerate(EventKind)]
VERSIONS = [
    KeptVersion(0, 1.25, 512, ""),
    KeptVersion(1, 2.5, 512, "ab" * 16, {"round": 1, "metrics": {"loss": 0.5}, "contributors": {"a": {"num_examples": 7}}}),
]


class Desk:
    """A controller's side, by stream.method."""

    def __init__(self):
        self.shipped = []
        self.methods = {
            GET_STATUS: self.status,
            WATCH: self.watch,
            ORDER: self.order,
            SHIP: self.ship,
            DOWNLOAD: self.download,
            LIST_VERSIONS: self.versions,
        }

    async def accept(self, stream):
        await self.methods[stream.method](stream)

    async def status(self, stream):
        await admin.read_status(stream)
        await admin.answer_status(stream, {"state": "running", "learners": {"a": 1}})

    async def watch(self, stream):
        events = EVENTS[await admin.read_watch(stream) :]
        await admin.send_news(stream, events[:2])
        await admin.send_news(stream, events[2:])

    async def order(self, stream):
        request = await admin.read_order(stream)
        await admin.answer_order(stream, request.verb is not Verb.PAUSE, f"no {request.why}")

    async def ship(self, stream):
        opening = await read_opening(stream)
        layout = Layout.from_specs(opening.specs)
        if layout != LAYOUT:
            await answer_push(stream, PushAnswer(False, "", "there is a model already"))
            return
        out = np.empty(layout.nbytes, np.uint8)
        await receive_blob(stream, opening, BlobReceiver(layout, layout.nbytes, out))
        self.shipped.append((opening.token, opening.task, out))
        await answer_push(stream, PushAnswer(True))

    async def download(self, stream):
        version = await admin.read_download(stream)
        await send_blob(stream, encode_blob(7 if version is None else version, LAYOUT, BUFFER), layout_known=False)

    async def versions(self, stream):
        await admin.read_list_versions(stream)
        await send_versions(stream, VERSIONS)


@pytest.fixture(params=["memory", "grpc"])
async def served(request):
    desk = Desk()
    places = {
        "memory": (MemoryTransport(), Address.parse("memory://admin")),
        "grpc": (GrpcTransport(), Address.parse("grpc://127.0.0.1:0")),
    }
    async with connected(*places[request.param], desk.accept) as (channel, _):
        yield AdminClient(channel), desk


@asynccontextmanager
async def answering(*frames):
    async def accept(stream):
        await stream.receive()
        for frame in frames:
            await stream.send(frame)

    async with connected(MemoryTransport(), Address.parse("memory://admin"), accept) as (channel, _):
        yield AdminClient(channel)


async def test_the_status_is_a_map(served):
    client, _ = served
    assert await client.status() == {"state": "running", "learners": {"a": 1}}


@pytest.mark.parametrize("start", [0, 3])
async def test_a_watcher_is_told_every_event_from_a_number_on(served, start):
    client, _ = served
    assert [event async for news in client.watch(start) for event in news] == EVENTS[start:]


async def test_a_watcher_may_leave_at_any_time(served):
    client, _ = served
    watching = client.watch()
    assert await anext(watching) == EVENTS[:2]
    await watching.aclose()
    assert (await client.status())["state"] == "running"


@pytest.mark.parametrize("verb", Verb)
async def test_an_order_is_done_or_refused_with_a_reason(served, verb):
    client, _ = served
    if verb is Verb.PAUSE:
        with pytest.raises(FederationFailed, match="the controller refused to pause: no reason"):
            await client.order(verb, "reason")
    else:
        await client.order(verb, "reason")


async def test_weights_are_shipped(served):
    client, desk = served
    await client.ship(LAYOUT, BUFFER)
    token, task, out = desk.shipped[0]
    assert (token, task) == (b"", "")
    assert np.array_equal(out, BUFFER)


async def test_weights_that_are_not_taken_are_an_error_with_the_reason(served):
    client, _ = served
    layout = Layout.from_specs([("b", "int8", (1,))])
    with pytest.raises(FederationFailed, match="refused the initial weights: there is a model already"):
        await client.ship(layout, np.zeros(layout.nbytes, np.uint8))


@pytest.mark.parametrize(("asked", "given"), [(3, 3), (admin.NEWEST, 7)])
async def test_a_version_is_downloaded_with_its_number(served, asked, given):
    client, _ = served
    version, layout, buffer = await client.download(asked)
    assert (version, layout) == (given, LAYOUT)
    assert np.array_equal(buffer, BUFFER)


async def test_versions_are_listed_with_what_is_known_of_them(served):
    client, _ = served
    assert await client.versions() == VERSIONS


async def test_versions_that_do_not_fit_into_a_frame_take_several():
    versions = [KeptVersion(number, 0.0, 512, "", {"metrics": {"x" * 3_000_000: 0.5}}) for number in range(6)]
    frames = []

    class Recorder:
        async def send(self, frame):
            frames.append(frame)

    await send_versions(Recorder(), versions)
    assert max(map(len, frames)) <= FRAME_BYTES_MAX
    assert len(frames) == 3
    async with answering(*frames) as client:
        assert await client.versions() == versions


async def test_where_there_is_no_version_none_is_listed():
    async with answering() as client:
        assert await client.versions() == []


async def test_a_desk_that_fails_is_a_closed_stream(served):
    client, desk = served
    del desk.methods[GET_STATUS]
    with pytest.raises(StreamClosed):
        await client.status()


@pytest.mark.parametrize("frame", [b"\xff", pb.Status(body=b"\xc0").SerializeToString()])
async def test_a_status_that_is_none_is_refused(frame):
    async with answering(frame) as client:
        with pytest.raises(RemoteProtocolError):
            await client.status()


async def test_an_event_of_an_unknown_kind_is_refused():
    news = pb.News(events=[pb.Event(number=4, kind="dance", body=b"\x80")])
    async with answering(news.SerializeToString()) as client:
        with pytest.raises(RemoteProtocolError, match="event 4 is of kind 'dance'"):
            await anext(client.watch())


async def test_an_unknown_order_is_refused():
    class Unknown:
        async def receive(self):
            return pb.OrderRequest().SerializeToString()

    with pytest.raises(RemoteProtocolError, match="order 0 is none"):
        await admin.read_order(Unknown())


async def test_an_event_that_cannot_travel_is_our_own_mistake():
    with pytest.raises(LocalProtocolError, match=r"event 0 \(waiting\) cannot be written"):
        await admin.send_news(None, [Event(0, 0.0, EventKind.WAITING, {"why": object()})])


async def test_news_that_do_not_fit_into_a_frame_take_several():
    events = [Event(number, 0.0, EventKind.WAITING, {"why": "x" * 1_500_000}) for number in range(12)]
    frames = []

    class Recorder:
        async def send(self, frame):
            frames.append(frame)

    await admin.send_news(Recorder(), events)
    assert max(map(len, frames)) <= FRAME_BYTES_MAX
    assert len(frames) == 3
    async with answering(*frames) as client:
        assert [event async for news in client.watch() for event in news] == events


async def test_news_without_an_event_are_refused():
    async with answering(pb.News().SerializeToString()) as client:
        with pytest.raises(RemoteProtocolError, match="news without an event"):
            await anext(client.watch())


def test_every_method_has_its_name_on_the_wire():
    names = {method.name for method in pb.DESCRIPTOR.services_by_name["Admin"].methods}
    assert {f"/fedactors.v1.Admin/{name}" for name in names} == {GET_STATUS, WATCH, ORDER, SHIP, DOWNLOAD, LIST_VERSIONS}
