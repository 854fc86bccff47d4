"""Protocols without rounds in step, in a whole federation in this process: exact limits, pauses, restarts."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors.aggregation.fedasync import FedAsyncFold
from fedactors.record import Event, History
from fedactors.scheduling.stream import StreamSchedule
from fedactors.storage.memory import MemoryStorage
from tests.actors.test_survival import fail_once

LEARNERS = 3


class Quick:
    """Adds one, quickly; the learner with index 2 takes longer."""

    num_train_examples = 10

    def __init__(self, context):
        self.sleep_s = 0.02 if context.index == 2 else 0.002

    def get_weights(self):
        return {"w": np.zeros(4, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        time.sleep(self.sleep_s)
        return {"w": weights["w"] + np.float32(1.0)}, {"loss": 1.0}

    def evaluate(self, weights, params):
        return {"mean": weights["w"].mean(), "num_examples": 1}


def config(protocol: str, rounds: int = 12, stop: Any = None, **options: Any) -> dict[str, Any]:
    return {
        "name": "quick",
        "seed": 3,
        "learners": {"count": LEARNERS},
        "protocol": {"name": protocol, "options": options},
        "stop": {"rounds": rounds, **(stop or {})},
    }


async def run(table: dict[str, Any]) -> tuple[History, list[Event]]:
    """A whole federation in this process."""
    history, events = History(), []
    async with asyncio.timeout(60), Federation(table) as federation:
        for _ in range(LEARNERS):
            federation.add_learner(Quick)
        await federation.admin.order("start")
        async for event in federation.events():
            history.take(event)
            events.append(event)
    return history, events


def committed(events: list[Event]) -> list[int]:
    return [event.body["round"] for event in events if event.kind == "round_committed"]


@pytest.mark.parametrize("table", [config("asynchronous"), config("buffered", updates=2)], ids=lambda t: t["protocol"]["name"])
async def test_a_limit_of_rounds_is_exact(table):
    history, events = await run(table)
    assert committed(events) == list(range(1, 13))
    assert [record.round for record in history.rounds] == list(range(1, 13))
    assert history.rounds[-1].metrics["mean"] > 0, "the last version is evaluated"
    size = 1 if table["protocol"]["name"] == "asynchronous" else 2
    accepted = [event for event in events if event.kind == "update_accepted"]
    assert len(accepted) == 12 * size


async def test_staleness_is_the_number_of_versions_since_the_base():
    history, _ = await run(config("asynchronous", rounds=30))
    for record in history.rounds:
        for part in record.learners.values():
            assert 0 <= part.staleness < record.version
    assert any(part.staleness for record in history.rounds for part in record.learners.values())


async def test_nothing_is_committed_during_a_pause_and_all_goes_on_after_it():
    async with asyncio.timeout(60), Federation(config("asynchronous", rounds=40)) as federation:
        for _ in range(LEARNERS):
            federation.add_learner(Quick)
        await federation.admin.order("start")
        counts, paused = 0, False
        async for event in federation.events():
            if event.kind != "round_committed":
                continue
            counts += 1
            if counts == 5 and not paused:
                paused = True
                await federation.admin.order("pause")
                before = (await federation.admin.status())["version"]
                await asyncio.sleep(0.3)
                status = await federation.admin.status()
                assert status["version"] <= before + 1, "the round that was granted before is committed, and no other"
                await federation.admin.order("resume")
        assert counts == 40


async def test_versions_go_on_while_a_stop_condition_waits_for_a_metric():
    history, events = await run(config("asynchronous", rounds=500, stop={"metric": {"name": "mean", "target": 4.0}}))
    assert "mean" in history.stop_reason
    assert len(committed(events)) < 100


FAILURES = [
    (FedAsyncFold, "add", 2),
    (FedAsyncFold, "commit", 3),
    (StreamSchedule, "handle", 5),
    (StreamSchedule, "handle", 12),
    (StreamSchedule, "handle", 25),
    (MemoryStorage, "put", 3),
]


@pytest.mark.parametrize(("owner", "name", "at"), FAILURES, ids=lambda value: getattr(value, "__name__", str(value)))
async def test_a_stream_survives_a_failure_of(monkeypatch, owner, name, at):
    calls = fail_once(monkeypatch, owner, name, at)
    history, events = await run(config("asynchronous"))
    assert calls["all"] > at, "the failure was not the last call"
    assert not history.failed, history.stop_reason
    assert committed(events) == list(range(1, 13))
