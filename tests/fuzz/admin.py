"""What drivers and operators say, and what they are told."""

from __future__ import annotations

from contextlib import suppress

from fedactors.errors import RemoteProtocolError
from fedactors.protocol import Verb, admin, bodies, federations
from fedactors.protocol._pb import admin_pb2 as pb
from fedactors.protocol._pb import federations_pb2
from fedactors.protocol.asking import parsed
from fedactors.protocol.versions import KeptVersion, read_versions
from fedactors.record import Event, EventKind

FRAMES = (
    pb.WatchRequest(from_number=7),
    pb.OrderRequest(verb=2, why="enough"),
    pb.DownloadRequest(version=-1),
    pb.ListVersionsRequest(),
    pb.StatusRequest(),
    pb.News(events=[pb.Event(number=1, unix_time_s=1.5, kind="waiting", body=bodies.pack("", {"why": "x"}))]),
    pb.Versions(versions=[pb.KeptVersion(version=1, nbytes=64, digest="ab", body=bodies.pack("", {"round": 1}))]),
    pb.Status(body=bodies.pack("", {"state": "training", "learners": {"a": 1}})),
    pb.OrderAnswer(done=False, why="there is no open round"),
    federations_pb2.AddRequest(name="wards", toml="[stop]\nrounds = 3\n"),
    federations_pb2.StopRequest(name="wards", now=True, why="enough"),
    federations_pb2.Standings(federations=[federations_pb2.Standing(name="wards", state="running", rounds=2, learners=3)]),
)
SEEDS = [bytes([index]) + frame.SerializeToString() for index, frame in enumerate(FRAMES)]


class Said:
    """A stream that says one thing."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame

    async def receive(self) -> bytes:
        return self._frame


def check(data: bytes) -> None:
    """The first byte says as what the rest is read."""
    if not data:
        return
    with suppress(RemoteProtocolError):
        READERS[data[0] % len(READERS)](data[1:])


def _watch(frame: bytes) -> None:
    assert 0 <= _at_once(admin.read_watch(Said(frame))) < 2**64


def _order(frame: bytes) -> None:
    order = _at_once(admin.read_order(Said(frame)))
    assert order.verb in Verb
    assert len(order.why) <= 4096
    assert "\n" not in order.why


def _download(frame: bytes) -> None:
    version = _at_once(admin.read_download(Said(frame)))
    assert version is None or version >= 0


def _list_versions(frame: bytes) -> None:
    _at_once(admin.read_list_versions(Said(frame)))


def _status_request(frame: bytes) -> None:
    _at_once(admin.read_status(Said(frame)))


def _news(frame: bytes) -> None:
    events = admin._news(parsed(pb.News, frame))
    assert events
    assert all(isinstance(event, Event) and event.kind in EventKind and isinstance(event.body, dict) for event in events)


def _versions(frame: bytes) -> None:
    kept = read_versions(parsed(pb.Versions, frame))
    assert all(isinstance(one, KeptVersion) and isinstance(one.facts, dict) for one in kept)


def _status(frame: bytes) -> None:
    assert isinstance(bodies.unpack("the status", parsed(pb.Status, frame).body, admin.BODY_BYTES_MAX), dict)


def _answer(frame: bytes) -> None:
    parsed(pb.OrderAnswer, frame)


def _add(frame: bytes) -> None:
    name, toml = _at_once(federations.read_add(Said(frame)))
    assert isinstance(name, str)
    assert isinstance(toml, str)


def _stop(frame: bytes) -> None:
    assert "\n" not in _at_once(federations.read_stop(Said(frame))).why


def _standings(frame: bytes) -> None:
    told = [federations._standing(one) for one in parsed(federations_pb2.Standings, frame).federations]
    assert all(one.rounds >= 0 for one in told)


READERS = (
    *(_watch, _order, _download, _list_versions, _status_request),
    *(_news, _versions, _status, _answer),
    *(_add, _stop, _standings),
)


def _at_once(coroutine):
    """The result of a coroutine that need not wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")
