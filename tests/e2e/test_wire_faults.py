"""A whole federation over real gRPC, or plain TCP, with a faulty wire between: what breaks, goes on, and is counted once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors.learner import Learner, LearnerClient
from fedactors.learner.worker import inline
from fedactors.record import Event
from fedactors.testing import Direction, Ending, Faults, FaultyWire, WireStatistics, everyone, only
from fedactors.testing.faults import UNHARMED, Plan
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.tcp import TcpTransport
from tests.e2e.support import DEEP

pytestmark = pytest.mark.e2e

TRANSPORTS = {"grpc": GrpcTransport(), "tcp": TcpTransport()}
MIB = 1024 * 1024


class Steady(Learner):
    """Adds its share to every weight; the model has so many bytes."""

    def __init__(self, index: int, model_bytes: int) -> None:
        self._index = index
        self._size = model_bytes // 4
        self.num_train_examples = 10 * (1 + index)

    def get_weights(self):
        return {"w": np.linspace(0.0, 1.0, self._size, dtype=np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {"w": weights["w"] * np.float32(0.5) + np.float32(1 + self._index)}, {}

    def evaluate(self, weights, params):
        return {"mean": float(weights["w"][:10].mean()), "num_examples": 1}


def config(learners: int, rounds: int, **tables: Any) -> dict[str, Any]:
    return {
        "name": "wired",
        "seed": 3,
        "learners": {"count": learners},
        "stop": {"rounds": rounds},
        "evaluate": {"every": 0},
        **tables,
    }


@dataclass(slots=True)
class Run:
    """What came of a run.

    Attributes:
        sha256: of the last version.
        events: all of them.
        rounds: the records, as maps.
        wires: what each learner's wire has seen.
    """

    sha256: str = ""
    events: list[Event] = field(default_factory=list)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    wires: list[WireStatistics] = field(default_factory=list)

    def bodies(self, kind: str) -> list[Any]:
        return [event.body for event in self.events if event.kind == kind]

    def assert_counted_once(self, learners: int) -> None:
        """Each learner's update was accepted once in each round, and none was refused."""
        for record in self.rounds:
            assert len(record["learners"]) == learners
            assert [name for name, part in record["learners"].items() if part["refused"] or not part["examples"]] == []


@asynccontextmanager
async def taking_part(
    target: Address, plans: Mapping[int, Plan], learners: int, model_bytes: int
) -> AsyncIterator[list[FaultyWire]]:
    """Learners, each over a wire of its own."""
    async with AsyncExitStack() as exits:
        wires, clients = [], []
        for index in range(learners):
            wire = await exits.enter_async_context(FaultyWire(target, plans.get(index, UNHARMED), seed=index))
            channel = TRANSPORTS[target.scheme].connect(wire.address)
            exits.push_async_callback(channel.close)
            client = LearnerClient(Steady(index, model_bytes), f"learner-{index}", channel, work=inline, rng=random.Random(index))
            clients.append(asyncio.create_task(client.run(), name=f"learner-{index}"))
            wires.append(wire)
        try:
            yield wires
        finally:
            for wire in wires:
                wire.cut_all()  # a slow one would be waited for when its learner says goodbye
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)


async def run(
    table: Mapping[str, Any],
    plans: Mapping[int, Plan],
    model_bytes: int,
    *,
    on_event: Callable[[Event, list[FaultyWire]], None] = lambda _event, _wires: None,
    scheme: str = "grpc",
) -> Run:
    """A run to its end."""
    came = Run()
    async with asyncio.timeout(60), AsyncExitStack() as exits:
        federation = await exits.enter_async_context(Federation(table, addresses=[f"{scheme}://127.0.0.1:0"]))
        learners = taking_part(federation.addresses[0], plans, table["learners"]["count"], model_bytes)
        wires = await exits.enter_async_context(learners)
        await federation.admin.order("start")
        async for event in federation.events():
            came.events.append(event)
            on_event(event, wires)
        came.sha256 = (await federation.model()).sha256
        came.wires = [wire.statistics for wire in wires]
    came.rounds = [body["record"] for body in came.bodies("round_ended")]
    return came


# ----------------------------------------------------------------------------------------------------------------------- cut

CUT_LEARNERS = 16
CUT_MODEL_BYTES = 5 * MIB // 4
"""Two chunks: a push of them waits for its grant."""


def cut_places(total_bytes: int) -> list[int]:
    """Where connections are cut: the first bytes, about the chunks' edges, the last bytes, and anywhere."""
    rng = random.Random(7)
    first = [0, 1, 24, 333, 1200]
    edges = [MIB + rng.randrange(-40, 800) for _ in range(3)]
    last = [total_bytes - rng.randrange(400, 2000) for _ in range(3)]  # of those after, some are heartbeats, which vary
    return [*first, *edges, *last, *(rng.randrange(total_bytes) for _ in range(CUT_LEARNERS - 11))]


async def test_wherever_connections_are_cut_every_update_counts_once_and_no_upload_slot_is_lost():
    table = config(CUT_LEARNERS, rounds=2, limits={"uploads_max": 1})
    undisturbed = await run(table, {}, CUT_MODEL_BYTES)
    undisturbed.assert_counted_once(CUT_LEARNERS)
    for way in ("up", "down"):
        total_bytes = min(getattr(wire, f"bytes_{way}") for wire in undisturbed.wires)
        plans = {
            index: only({0: Faults(**{way: Direction(end_at=place)})}) for index, place in enumerate(cut_places(total_bytes))
        }
        cut = await run(table, plans, CUT_MODEL_BYTES)
        assert [wire.endings for wire in cut.wires] == [1] * CUT_LEARNERS
        cut.assert_counted_once(CUT_LEARNERS)
        assert cut.sha256 == undisturbed.sha256


SESSION, DOWNLOADS, UPLOADS = 0, 1, 2
"""The connections of a learner over tcp, in the order in which it makes them."""
TCP_CUTS = {
    (SESSION, "up"): (0, 5, 12, 40, 90),
    (SESSION, "down"): (3, 13, 14, 60),
    (DOWNLOADS, "up"): (8, 30),
    (DOWNLOADS, "down"): (0, 15, 300, MIB, MIB + 500),
    (UPLOADS, "up"): (10, 60, 400, MIB, MIB + 300),
    (UPLOADS, "down"): (0, 13, 18),
}
"""By a connection and a direction, after how many bytes it is cut: amid preambles, openings, headers and bodies."""


async def test_over_tcp_too_every_update_counts_once_wherever_connections_are_cut():
    cuts = [(which, way, place) for (which, way), places in TCP_CUTS.items() for place in places]
    table = config(len(cuts), rounds=2, limits={"uploads_max": 1})
    over_grpc = await run(table, {}, CUT_MODEL_BYTES)
    plans = {index: only({which: Faults(**{way: Direction(end_at=place)})}) for index, (which, way, place) in enumerate(cuts)}
    cut = await run(table, plans, CUT_MODEL_BYTES, scheme="tcp")
    endings = {f"learner-{index}": wire.endings for index, wire in enumerate(cut.wires)}
    del endings[cut.bodies("initialised")[0]["source"]]  # whose first transfer was an upload
    assert endings == dict.fromkeys(endings, 1)
    cut.assert_counted_once(len(cuts))
    assert cut.sha256 == over_grpc.sha256


@pytest.mark.parametrize("way", ["up", "down"])
async def test_what_has_come_of_a_cut_transfer_is_not_sent_again(way):
    model_bytes, cut_at = 12 * MIB, 9 * MIB
    plans = {0: only({0: Faults(**{way: Direction(end_at=cut_at)})})}
    came = await run(config(2, rounds=1), plans, model_bytes)
    came.assert_counted_once(2)
    assert came.bodies("initialised")[0]["source"] == "learner-1", "the other one gave the initial weights"
    sent_bytes = getattr(came.wires[0], f"bytes_{way}")
    assert sent_bytes > model_bytes
    assert sent_bytes - model_bytes < cut_at / 2, "at least half of what had come was kept"


async def test_learners_whose_connections_break_all_the_time_take_part_nevertheless():
    def breaks(number, rng):
        end_at = rng.randrange(2 * MIB, 5 * MIB)
        return Faults(up=Direction(delay_s=0.002, jitter_s=0.002, end_at=end_at), refused=number % 3 == 2)

    came = await run(config(3, rounds=4), dict.fromkeys(range(3), breaks), 3 * MIB)
    came.assert_counted_once(3)
    assert sum(wire.endings for wire in came.wires) >= 3


# -------------------------------------------------------------------------------------------------------------------- frozen


async def test_a_learner_that_freezes_amid_its_upload_is_lost_frees_its_slot_and_comes_back():
    """A black hole from the middle of the update on: nothing ends, nothing comes."""
    table = config(3, rounds=15, limits={"uploads_max": 1}, liveness={"heartbeat_s": 0.25, "lost_after_s": 1.0})
    frozen = only({0: Faults(up=Direction(end_at=3 * MIB, ending=Ending.SWALLOW))})
    came = await run(table, {0: frozen}, 4 * MIB)
    assert {"learner": "learner-0", "how": "lost"}.items() <= came.bodies("learner_departed")[0].items()
    assert [body["round"] for body in came.bodies("round_committed")] == list(range(1, 16))
    assert len(came.rounds[0]["learners"]) <= 3
    assert sum(body["learner"] == "learner-0" for body in came.bodies("learner_joined")) == 2


async def test_a_half_open_connection_is_displaced_by_the_learner_that_comes_back_and_its_download_goes_on():
    """The learner hears nothing any more; the controller hears it well."""
    table = config(3, rounds=3, liveness={"heartbeat_s": 0.25, "lost_after_s": 1.0})
    undisturbed = await run(table, {}, 4 * MIB)
    deaf = only({0: Faults(down=Direction(end_at=3 * MIB, ending=Ending.SWALLOW))})
    came = await run(table, {0: deaf}, 4 * MIB)
    came.assert_counted_once(3)
    assert came.sha256 == undisturbed.sha256
    assert came.bodies("learner_departed") == []
    assert came.wires[0].connections == 2


# ---------------------------------------------------------------------------------------------------------------------- slow

SLOW, QUICK = 6, 9
SLOW_BYTES_PER_S = 150_000.0
SLOW_MODEL_BYTES = 2 * MIB

SLOW_PLANS = {
    **dict.fromkeys(range(SLOW - 1), everyone(Faults(up=Direction(bytes_per_s=SLOW_BYTES_PER_S)))),
    SLOW - 1: everyone(Faults(down=Direction(bytes_per_s=SLOW_BYTES_PER_S))),
}
IMPATIENT = {
    "k of n": {
        "protocol": {"options": {"over_selection": SLOW / QUICK}},
        "selection": {"policy": "uniform", "options": {"count": QUICK}},
    },
    "asynchronous": {"protocol": {"name": "asynchronous"}},
}


@pytest.mark.parametrize("name", IMPATIENT)
async def test_slow_links_more_than_there_are_upload_slots_hold_up_nobody_else(name):
    """No slow transfer, of 14 s each, is through when the quick learners' rounds are."""
    rounds = {"k of n": 5, "asynchronous": 40}[name]
    moved: list[int] = []

    def watch(event: Event, wires: list[FaultyWire]) -> None:
        if event.kind == "round_committed" and event.body["round"] == rounds:
            up, down = [wire.statistics.bytes_up for wire in wires], [wire.statistics.bytes_down for wire in wires]
            moved.extend([*up[: SLOW - 1], down[SLOW - 1]])

    came = await run(config(SLOW + QUICK, rounds, **IMPATIENT[name]), SLOW_PLANS, SLOW_MODEL_BYTES, on_event=watch)
    assert [body["round"] for body in came.bodies("round_committed")] == list(range(1, rounds + 1))
    assert max(moved) < SLOW_MODEL_BYTES


# ------------------------------------------------------------------------------------------------------------------- restart

MANY = 1_000 if DEEP else 200


async def test_many_learners_come_back_to_a_controller_that_was_started_again(tmp_path):
    """It is gone in the midst of a run, and for a second nobody listens there."""
    table, place = config(MANY, rounds=2), f"grpc://{tmp_path}/controller.sock"
    async with asyncio.timeout(60 if MANY < 1_000 else 300), AsyncExitStack() as exits:
        async with Federation({**table, "stop": {"rounds": 1000}}, addresses=[place]) as first:
            await exits.enter_async_context(crowd(Address.parse(place)))
            await first.admin.order("start")
            await until_committed(first, 1)
        await asyncio.sleep(1.0)
        second = await exits.enter_async_context(Federation(table, addresses=[place]))
        await second.admin.order("start")
        events = [event async for event in second.events()]
    joined_s = [event.unix_time_s for event in events if event.kind == "learner_joined"]
    assert len(joined_s) == MANY
    assert max(joined_s) - min(joined_s) > 0.1, "they do not come all at once"
    records = [event.body["record"] for event in events if event.kind == "round_ended"]
    assert [record["totals"]["accepted"] for record in records] == [MANY] * 2


@asynccontextmanager
async def crowd(address: Address) -> AsyncIterator[None]:
    """Many learners with a small model."""
    channels = [GrpcTransport().connect(address) for _ in range(MANY)]
    clients = [
        asyncio.create_task(
            LearnerClient(Steady(index, 1024), f"learner-{index}", channel, work=inline, rng=random.Random(index)).run()
        )
        for index, channel in enumerate(channels)
    ]
    try:
        yield
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, *(channel.close() for channel in channels), return_exceptions=True)


async def until_committed(federation: Federation, round_: int) -> None:
    async with aclosing(federation.events()) as events:
        async for event in events:
            if event.kind == "round_committed" and event.body["round"] == round_:
                return
