"""`fedactors relay` over TLS, with credentials on both sides; killed with an update that its parent does not have yet."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import UTC, datetime

import numpy as np
import pytest

from fedactors import config as configuration
from fedactors.access.audit import Audit
from fedactors.access.callers import Role
from fedactors.access.token_file import change
from fedactors.access.tokens import new_token
from fedactors.actors.gateway import Gateway
from fedactors.config import Credentials
from fedactors.learner import LearnerClient
from fedactors.record import EventKind
from fedactors.relay import Relay
from fedactors.system import Federation
from fedactors.transport import Address
from tests.e2e.support import free_port, started
from tests.transport.certificates import Certificates

pytestmark = pytest.mark.e2e

FEDERATION = """
name = "tree"
seed = 1
stop.rounds = 2

[learners]
count = 1

[liveness]
lost_after_s = 30

[tls]
ca = "ca.pem"
certificate = "server.pem"
key = "server.key"

[access]
"""
PATIENCE_S = 60.0


class Counting:
    """Adds its step to the weights; it tells which rounds it trained in."""

    def __init__(self, step):
        self.step, self.num_train_examples, self.rounds = step, 10 * step, []

    def get_weights(self):
        return {"w": np.zeros(4, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        self.rounds.append(params.round)
        return {"w": weights["w"] + np.float32(self.step)}, {}

    def evaluate(self, weights, params):
        return {"w": float(weights["w"][0]), "num_examples": 1}


class Guarded:
    """A directory with a federation's file, whose root and relay take credentials of each other and of learners."""

    def __init__(self, folder, method):
        self.folder, self.method, self.authority = folder, method, Certificates(folder)
        self.authority.server()
        access = f'learners = "{method}"\noperators = "{method}"\n' + ('tokens = "above.json"\n' if method == "token" else "")
        self.file = folder / "federation.toml"
        self.file.write_text(FEDERATION + access)
        self.place = Address.parse(f"grpcs://127.0.0.1:{free_port()}")
        self.below = (f"controller.address={self.place}", "learners.count=2")
        if method == "token":
            self.below += ("access.tokens=below.json",)

    def shows(self, name, book):
        """The credentials of a learner, or of a relay as one, known at the root (`above`) or at the relay (`below`)."""
        if self.method == "certificate":
            files = self.authority.client(Role.LEARNER, name)
            return Credentials(self.authority.ca, files["certificate"], files["key"])
        token = new_token()
        change(self.folder / f"{book}.json", lambda tokens: (tokens.add(Role.LEARNER, name, token, datetime.now(UTC)), None))
        (self.folder / f"{name}.token").write_text(token)
        return Credentials(self.authority.ca, token=token)

    @asynccontextmanager
    async def root(self):
        config = configuration.read(self.file, ["controller.address=grpcs://127.0.0.1:0"])
        with closing(Audit(self.folder / "audit.jsonl")) as audit:
            async with asyncio.timeout(PATIENCE_S), Federation(config, audit=audit) as federation:
                yield federation

    @asynccontextmanager
    async def learners(self, *steps):
        """Learners of the relay, in this process."""
        async with AsyncExitStack() as exits:
            learners, running = [Counting(step) for step in steps], []
            for learner in learners:
                name = f"learner-{learner.step}"
                channel = configuration.connect_to(self.place, self.shows(name, "below"))
                exits.push_async_callback(channel.close)
                running.append(asyncio.create_task(LearnerClient(learner, name, channel).run()))
            try:
                yield learners
                await asyncio.gather(*running)
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)


def audited(folder):
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]


def came_back(folder):
    return any(line.get("resumed") for line in audited(folder) if line["did"] == "joined")


async def test_a_relay_shows_a_certificate_to_its_parent_and_asks_its_learners_for_theirs(tmp_path):
    guarded = Guarded(tmp_path, "certificate")
    async with guarded.root() as root, AsyncExitStack() as exits:
        relay = await exits.enter_async_context(Relay(configuration.read(guarded.file, guarded.below)))
        parent = configuration.connect_to(root.addresses[0], guarded.shows("relay-0", "above"))
        exits.push_async_callback(parent.close)
        async with guarded.learners(1, 3):
            serving = asyncio.create_task(relay.serve(parent, "relay-0"))
            results = await root.run()
            await root.close()
            await serving
    assert [record.metrics["w"] for record in results.rounds] == [2.5, 5.0]
    assert {(line["did"], line["who"], line["by"]) for line in audited(tmp_path)} >= {
        ("joined", "learner 'relay-0'", "certificate")
    }


@pytest.fixture
def no_update_comes_in(monkeypatch):
    """The root takes no upload before it may; only its own gateway runs in this process."""
    may, serve = asyncio.Event(), Gateway._serve_pushes

    async def held(self, stream, caller):
        await may.wait()
        await serve(self, stream, caller)

    monkeypatch.setattr(Gateway, "_serve_pushes", held)
    return may


async def test_a_relay_that_is_killed_before_its_update_is_delivered_goes_on_with_its_session(tmp_path, no_update_comes_in):
    guarded, spool = Guarded(tmp_path, "token"), tmp_path / "spool"
    guarded.shows("relay-0", "above")
    async with guarded.root() as root, guarded.learners(1, 3) as learners, AsyncExitStack() as exits:
        options = ["--id", "relay-0", "--parent", root.addresses[0], "--listen", guarded.place, "--spool", spool]
        options += ["--ca", "ca.pem", "--token-file", "relay-0.token"]
        for override in guarded.below[1:]:
            options += ["--set", override]
        command = ("relay", guarded.file, *options)
        first = exits.enter_context(started(*command, cwd=tmp_path, name="first"))
        running = asyncio.create_task(root.run())
        while not list(spool.glob("*.update")):  # another process writes it
            assert not running.done()
            await asyncio.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.wait()
        second = exits.enter_context(started(*command, cwd=tmp_path, name="second"))
        while not came_back(tmp_path):  # as above
            assert second.poll() is None, (tmp_path / "second.out").read_text()
            await asyncio.sleep(0.02)
        no_update_comes_in.set()
        results = await running
        joined = [event.body["learner"] async for event in root.events() if event.kind is EventKind.LEARNER_JOINED]
        await root.close()
        assert await asyncio.to_thread(second.wait, 20) == 0, (tmp_path / "second.out").read_text()
    assert joined == ["relay-0"], "its parent sees no new learner"
    assert [learner.rounds for learner in learners] == [[1, 2], [1, 2]]
    assert [record.totals.examples for record in results.rounds] == [40, 40]
    assert [record.metrics["w"] for record in results.rounds] == [2.5, 5.0]
