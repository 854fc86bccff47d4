"""One federation in which an honest learner goes on, whatever the others do; and what there must not be more of afterwards."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedactors import Federation
from fedactors.actors.aggregator import Aggregator
from fedactors.actors.gateway import Gateway
from fedactors.errors import StreamClosed
from fedactors.model import Layout
from fedactors.protocol import SESSION, Goodbye, GoodbyeReason, Heartbeat, Hello, Session, Task, TaskFailure, Welcome, join
from fedactors.protocol.blob_wire import decode_reply, encode_fetch
from fedactors.protocol.messages import FetchRequest, PushAnswer, PushGrant, PushOpening
from fedactors.protocol.session_wire import decode_from_controller, encode
from fedactors.protocol.transfers import Download
from fedactors.task import TaskKind, TrainReport
from fedactors.testing import ScriptedLearner
from fedactors.testing.learners import adds, takes_s
from fedactors.transport import Address, Channel, Stream
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.memory import MemoryTransport

PLACE = "memory://hostile"
HONEST = "honest"
LEARNERS_MAX = 24
HELLO_TIMEOUT_S = 0.3
MODEL = {"a": np.zeros((8, 4), np.float32), "b": np.zeros(3, np.float32)}
LAYOUT = Layout.of(MODEL)
CONFIG = {
    "name": "hostile",
    "seed": 3,
    "protocol": {"name": "asynchronous", "options": {"evaluators": 4}},
    "stop": {"rounds": 1_000_000},
    "evaluate": {"timeout_s": 0.5},
    "liveness": {"heartbeat_s": 0.5, "lost_after_s": 2.0, "hello_timeout_s": HELLO_TIMEOUT_S},
    "limits": {"learners_max": LEARNERS_MAX, "model_bytes_max": 1_000_000, "uploads_max": 2},
}
SETTLES_S = 10.0
"""Time for what is under way to end, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What costs memory at a controller."""

    proxies: int
    open_tasks: int
    buffers: int
    strangers: int
    held_streams: int
    asyncio_tasks: int
    descriptors: int

    def exceeds(self, other: Counts) -> list[str]:
        """Of what there is more than there was."""
        return [name for name in self.__slots__ if getattr(self, name) > getattr(other, name)]


class Scene:
    """The federation, and ways to be rude to it.

    Attributes:
        federation: with its honest learner at work.
        memory, grpc: channels to it.
        port: where it listens for gRPC.
    """

    def __init__(self, federation: Federation, memory: Channel, grpc: Channel, port: int) -> None:
        self.federation = federation
        self.memory = memory
        self.grpc = grpc
        self.port = port
        self._numbers = itertools.count()

    # ------------------------------------------------------------------------------------------------------------ how it stands

    async def version(self) -> int:
        """The newest; before there is one, -1."""
        version = (await self.federation.admin.status())["version"]
        return -1 if version is None else version

    async def goes_on(self) -> None:
        """The honest learner's updates are committed still: two more versions."""
        before = await self.version()
        async with asyncio.timeout(SETTLES_S):
            while await self.version() < before + 2:  # noqa: ASYNC110  # it is asked from outside
                await asyncio.sleep(0.01)

    async def refused(self, learner: str, reason: str = "") -> str:
        """The first refusal of a learner's answer that was told, as reason and why; of any reason, or of this one."""
        async with asyncio.timeout(SETTLES_S), aclosing(self.federation.events()) as events:
            async for event in events:
                body = event.body
                if event.kind == "update_refused" and body["learner"] == learner and reason in body["reason"]:
                    return f"{body['reason']}: {body['why']}"
        raise AssertionError("the federation is over")

    def counts(self) -> Counts:
        gc.collect()
        gateway, aggregator = self._actor(Gateway), self._actor(Aggregator)
        proxies = [actor for admitted in gateway._learners.values() if (actor := admitted.proxy._actor) is not None]
        return Counts(
            proxies=len(proxies),
            open_tasks=sum(len(proxy._tasks.ids) for proxy in proxies),
            buffers=aggregator._slots.lent + len(aggregator._offers) + len(aggregator._held),
            strangers=len(gateway._doorway.strangers),
            held_streams=sum(map(len, gateway._doorway._held.values())),
            asyncio_tasks=len(asyncio.all_tasks()),
            descriptors=len(list(Path(f"/proc/{os.getpid()}/fd").iterdir())),
        )

    def _actor(self, kind: type):
        return next(ref._actor for ref, _ in self.federation._system._walk() if isinstance(ref._actor, kind))

    async def most(self) -> Counts:
        """The most of each that there is of an ordinary time."""
        seen = []
        for _ in range(40):
            seen.append(self.counts())
            await asyncio.sleep(0.01)
        return Counts(*(max(getattr(one, name) for one in seen) for name in Counts.__slots__))

    # ---------------------------------------------------------------------------------------------------------- ways to be rude

    async def says(self, method: str, *frames: bytes, finish: bool = False, over: Channel | None = None) -> str:
        """Send these on a stream of its own; what is answered, and how the stream ends, in words."""
        stream = await (over or self.memory).open(method, timeout_s=SETTLES_S)
        try:
            with_words = await self._heard(stream, method, frames, finish=finish)
        finally:
            stream.cut("the case is over")
        return with_words

    async def _heard(self, stream: Stream, method: str, frames: tuple[bytes, ...], *, finish: bool) -> str:
        heard = []
        try:
            for frame in frames:
                await stream.send(frame)
            if finish:
                await stream.finish()
            while True:
                heard.append(in_words(method, await stream.receive()))
        except StreamClosed as ended:
            return " | ".join([*filter(None, heard), str(ended)])

    @asynccontextmanager
    async def taking_part(self, name: str = "", over: Channel | None = None) -> AsyncIterator[Mallory]:
        """A hostile learner that was let in, each time another one; it leaves at the end, unless it was thrown out."""
        name = name or f"mallory-{next(self._numbers)}"
        words = Hello(name, num_train_examples=1, num_test_examples=1)
        session, terms = await join(over or self.memory, words, timeout_s=SETTLES_S)
        try:
            yield Mallory(self, name, session, terms)
        finally:
            try:
                await session.goodbye(GoodbyeReason.LEFT)
            except StreamClosed:
                session.cut("thrown out")
            await session.close()


class Mallory:
    """A learner that was let in."""

    def __init__(self, scene: Scene, name: str, session: Session, terms: Welcome) -> None:
        self.scene = scene
        self.name = name
        self.session = session
        self.token = terms.token

    async def task(self, kind: TaskKind = TaskKind.TRAIN) -> Task:
        """The next task of this kind; others cannot be done."""
        async with asyncio.timeout(SETTLES_S):
            while True:
                message = await self.session.receive()
                if isinstance(message, Task) and message.kind is kind:
                    return message
                if isinstance(message, Task):
                    await self.session.send(TaskFailure(message.id, "not\nnow\x1b[2J" * 5_000))

    async def says(self, *frames: bytes) -> str:
        """Send these on the session; how it ends."""
        try:
            for frame in frames:
                await self.session.stream.send(frame)
            async with asyncio.timeout(SETTLES_S):
                while True:
                    await self.session.receive()
        except StreamClosed as ended:
            return str(ended)

    def opening(self, task: str, layout: Layout = LAYOUT, report: TrainReport = TrainReport(1), **other) -> PushOpening:  # noqa: B008
        """Of a push that answers a task, as a learner that is honest would open it."""
        fields = {"specs": None, "total_bytes": layout.nbytes, "layout_digest": layout.digest, "token": self.token} | other
        return PushOpening(task=task, report=report, **fields)

    async def fetch(self) -> None:
        """Have the newest version, as an honest learner would."""
        stream = await self.scene.memory.open("/fedactors.v1.Federation/Fetch", timeout_s=SETTLES_S)
        version = await self.scene.version()
        await Download(version).receive(stream, encode_fetch(FetchRequest(self.token, version)))
        stream.cut("it is here")


def in_words(method: str, frame: bytes) -> str:
    """What a controller said."""
    if method == SESSION:
        match decode_from_controller(frame):
            case Goodbye(reason, why):
                return f"goodbye ({reason}): {why}"
            case Heartbeat() | Task():
                return ""
            case other:
                return type(other).__name__
    if method.endswith(("Push", "Ship")):
        match decode_reply(frame):
            case PushAnswer(True):
                return "accepted"
            case PushAnswer(_, refusal, why):
                return f"refused ({refusal}): {why}"
            case PushGrant(offset):
                return f"granted from {offset}"
    return frame.decode(errors="replace")


def hello(**fields) -> bytes:
    return encode(Hello(**({"learner": "mallory"} | fields)))


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """The federation, training, until the end of the block; nothing may be left of anybody then."""
    gc.freeze()  # what other tests have imported need not be looked through each time that something is counted
    async with Federation(CONFIG, addresses=[PLACE, "grpc://127.0.0.1:0"]) as federation:
        places = {address.scheme: address for address in federation.addresses}
        memory, grpc = MemoryTransport().connect(Address.parse(PLACE)), GrpcTransport().connect(places["grpc"])
        federation.add_learner(ScriptedLearner(MODEL, train=takes_s(0.05, adds(1.0))), id=HONEST)
        await federation.admin.order("start")
        one = Scene(federation, memory, grpc, int(places["grpc"].place.rpartition(":")[2]))
        async with one.taking_part("warm", over=grpc):  # the connection stays, and so do its descriptors
            await one.goes_on()
        before = await one.most()
        yield one
        await settled(one, before)
        await memory.close()
        await grpc.close()
    gc.unfreeze()


async def settled(scene: Scene, before: Counts) -> None:
    """Wait until there is no more of anything than there was."""
    for _ in range(int(SETTLES_S / 0.05)):
        if not (more := (now := scene.counts()).exceeds(before)):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"something is left of {', '.join(more)}: {now}, and there was {before}")
