"""A controller that says what a test tells it to and writes down what it hears, over the memory transport."""

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from itertools import islice

import numpy as np
import pytest

from fedactors.errors import RemoteProtocolError, StreamClosed
from fedactors.learner import LearnerClient, Patience
from fedactors.learner.worker import inline
from fedactors.model import GlobalModel, Layout
from fedactors.protocol import (
    FETCH,
    PUSH,
    SESSION,
    BlobReceiver,
    PushAnswer,
    Welcome,
    answer_push,
    encode_blob,
    read_fetch,
    read_hello,
    read_opening,
    receive_blob,
    refuse,
    refuse_fetch,
    send_blob,
    welcome,
)
from fedactors.transport import Address
from fedactors.transport.memory import MemoryTransport

CHUNK_BYTES = 64
FRAMES_BEFORE_CUT = 8
PATIENCE = Patience(connect_s=1.0, reconnect_s=1.0)


class AtOnce(random.Random):
    """No pause between attempts."""

    def uniform(self, a, b):
        return 0.0


class ScriptedController:
    """Serves any number of models; every list is in the order of events.

    `refusals`: goodbyes instead of the next welcomes. `push_faults`: what becomes of the next pushes: "cut" (after the weights
    have come), or a PushAnswer. `fetches_that_hang`: how many of the next are never answered;
    `fetches_that_are_cut`: how many are cut after FRAMES_BEFORE_CUT frames. `welcome_with`: further terms;
    `packed_layout`: of updates in the form that they wish for.
    `received`: weights have come; they are answered only while `answers_when` is set.
    """

    def __init__(self):
        self.models, self.tokens = {}, []
        self.hellos, self.fetched, self.updates, self.pushed = [], [], [], []
        self.refusals, self.push_faults, self.knows_tokens = [], [], True
        self.fetches_that_hang = self.fetches_that_are_cut = 0
        self.welcome_with, self.packed_layout = {}, None
        self.received, self.answers_when = asyncio.Event(), asyncio.Event()
        self.answers_when.set()
        self.joined, self.said = asyncio.Queue(), asyncio.Queue()
        self.session = None

    def publish(self, version, weights):
        layout = Layout.of(weights)
        self.models[version] = GlobalModel(version, layout, layout.pack(weights))

    async def accept(self, stream):
        await {SESSION: self._session, FETCH: self._fetch, PUSH: self._push}[stream.method](stream)

    async def _session(self, stream):
        hello = await read_hello(stream, timeout_s=5)
        self.hellos.append(hello)
        if self.refusals:
            await refuse(stream, self.refusals.pop(0))
            return
        resumed = hello.resume_token in self.tokens and self.knows_tokens
        self.tokens.append(b"token %d" % len(self.tokens))
        terms = Welcome(self.tokens[-1], 1.0, 5.0, CHUNK_BYTES, resumed, **self.welcome_with)
        async with await welcome(stream, terms) as self.session:
            self.joined.put_nowait(self.session)
            with suppress(StreamClosed, RemoteProtocolError):
                while True:
                    self.said.put_nowait(await self.session.receive())

    async def _fetch(self, stream):
        request = await read_fetch(stream)
        assert request.token == self.tokens[-1]
        self.fetched.append(request.version)
        if self.fetches_that_hang:
            self.fetches_that_hang -= 1
            await asyncio.Event().wait()
        if request.version not in self.models:
            await refuse_fetch(stream, f"no version {request.version}")
            return
        model = self.models[request.version]
        blob = encode_blob(model.version, model.layout, model.buffer, CHUNK_BYTES)
        if self.fetches_that_are_cut:
            self.fetches_that_are_cut -= 1
            for frame in islice(blob.frames(layout_known=False, first=request.offset // CHUNK_BYTES), FRAMES_BEFORE_CUT):
                await stream.send(frame)
            stream.cut("told to")
            return
        await send_blob(stream, blob, layout_known=request.layout_digest == model.layout.digest, offset=request.offset)

    async def _push(self, stream):
        opening = await read_opening(stream)
        self.pushed.append(opening.task)
        layout = (self.packed_layout or self.models[0].layout) if opening.specs is None else Layout.from_specs(opening.specs)
        buffer = np.zeros(layout.nbytes, np.uint8)
        await receive_blob(stream, opening, BlobReceiver(layout, layout.nbytes, buffer))
        self.received.set()
        await self.answers_when.wait()
        answer = self.push_faults.pop(0) if self.push_faults else PushAnswer(True)
        if answer == "cut":
            stream.cut("told to")
            return
        self.updates.append((opening.task, layout.views(buffer), opening.report))
        await answer_push(stream, answer)

    async def lose(self):
        """Cut the session as a broken connection does."""
        self.session.cut("told to be lost")

    async def finish(self, reason, why=""):
        """Say goodbye; the learner then ends."""
        await self.session.goodbye(reason, why)


@pytest.fixture
async def controller():
    listening = ScriptedController()
    listener = await MemoryTransport().listen(Address("memory", "controller"), listening.accept)
    yield listening
    await listener.close(0)


@pytest.fixture
def running(controller):
    """`async with running(learner) as (client, run)`: a client at work, and its task."""

    @asynccontextmanager
    async def start(learner, *, work=inline):
        channel = MemoryTransport().connect(Address("memory", "controller"))
        client = LearnerClient(learner, "anna", channel, federation="f", patience=PATIENCE, work=work, rng=AtOnce())
        run = asyncio.create_task(client.run())
        try:
            await controller.joined.get()
            yield client, run
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            await channel.close()

    return start
