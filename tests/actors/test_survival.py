"""Any one actor may fail, at any point: it is restarted, and the run comes to the same end."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors.actors.gateway import Gateway
from fedactors.actors.learner_proxy import LearnerProxy
from fedactors.actors.ledger import Ledger
from fedactors.actors.life import Life
from fedactors.aggregation.fedavg import FedAvgFold
from fedactors.aggregation.ordered import OrderedFold
from fedactors.errors import FederationFailed
from fedactors.record import Event, History
from fedactors.scheduling.rounds import RoundsSchedule
from fedactors.storage.memory import MemoryStorage

CONFIG = {"name": "steady", "seed": 3, "learners": {"count": 3}, "stop": {"rounds": 5}}


class Steady:
    """Adds its share to every weight."""

    num_train_examples = 10

    def __init__(self, context):
        self.step = np.float32(1 + context.index)

    def get_weights(self):
        return {"w": np.zeros((4, 4), np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {"w": weights["w"] + self.step}, {}

    def evaluate(self, weights, params):
        return {"mean": weights["w"].mean(), "num_examples": 1}


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, at: int) -> Counter[str]:
    """Have the `at`-th call of a method raise; the calls are counted."""
    original, calls = getattr(owner, name), Counter[str]()

    @functools.wraps(original)
    def failing(*arguments: Any, **options: Any) -> Any:
        calls["all"] += 1
        if calls["all"] == at:
            raise RuntimeError("a bug")
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, failing)
    return calls


async def run() -> tuple[History, list[Event], np.ndarray]:
    """A whole federation in this process."""
    history, events = History(), []
    async with asyncio.timeout(60), Federation(CONFIG) as federation:
        for _ in range(3):
            federation.add_learner(Steady)
        await federation.admin.order("start")
        async for event in federation.events():
            history.take(event)
            events.append(event)
        return history, events, (await federation.model()).weights["w"]


FAILURES = [
    (OrderedFold, "add", 1),
    (FedAvgFold, "commit_with", 3),
    (RoundsSchedule, "handle", 2),
    (RoundsSchedule, "handle", 9),
    (RoundsSchedule, "handle", 20),
    (MemoryStorage, "put", 1),
    (MemoryStorage, "put", 3),
    (MemoryStorage, "versions", 2),
    (Ledger, "committed", 1),
    (Ledger, "committed", 3),
    (LearnerProxy, "_expected", 1),
    (LearnerProxy, "_expected", 6),
    (Gateway, "_take_in", 2),
    (Life, "publish", 3),
    (Life, "publish", 12),
    (Life, "publish", 30),
]


@pytest.mark.parametrize(("owner", "name", "at"), FAILURES, ids=lambda value: getattr(value, "__name__", str(value)))
async def test_a_run_survives_a_failure_of(monkeypatch, owner, name, at):
    calls = fail_once(monkeypatch, owner, name, at)
    history, events, weights = await run()
    assert calls["all"] > at, "the failure was not the last call"
    assert not history.failed, history.stop_reason
    assert [record.round for record in history.rounds][-1] == 5
    committed = [(event.body["round"], event.body["version"]) for event in events if event.kind == "round_committed"]
    assert committed == [(number, number) for number in range(1, 6)]
    if owner is not LearnerProxy:  # a proxy that fails is a lost learner: its round goes on without it
        np.testing.assert_allclose(weights, np.full((4, 4), 5 * 2.0), rtol=1e-6)
    assert [event.number for event in events] == list(range(len(events)))


async def test_an_actor_that_fails_for_ever_ends_the_run_with_one_line(monkeypatch):
    def fails(*_: Any) -> None:
        raise RuntimeError("a bug that stays")

    monkeypatch.setattr(RoundsSchedule, "handle", fails)
    async with asyncio.timeout(60), Federation(CONFIG) as federation:
        for _ in range(3):
            federation.add_learner(Steady)
        with pytest.raises(FederationFailed, match=r"round 1 failed 4 times in a row: RuntimeError\('a bug that stays'\)"):
            await federation.run()
