"""What the model store is told of each version."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors.actors.resumption import resume
from fedactors.errors import NoSuchModel, StoreError
from fedactors.journal import FileJournal, Happened, Opened
from fedactors.model import GlobalModel
from fedactors.record import Event, EventKind, LearnerRecord, Phases, RoundRecord, Totals
from fedactors.stop import StopConditions
from fedactors.storage.entries import Entry
from fedactors.storage.facts import of_round
from fedactors.storage.file import FileStorage
from fedactors.storage.memory import MemoryStorage


class Steady:
    num_train_examples = 10

    def __init__(self, context):
        self.index = context.index

    def get_weights(self):
        return {"w": np.zeros(4, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        if self.index == 2:
            raise ValueError("no data today")
        return {"w": weights["w"] + 1}, {"num_examples": 10 + self.index}

    def evaluate(self, weights, params):
        return {"mean": weights["w"].mean(), "num_examples": 1}


async def run(**tables: Any) -> Any:
    config = {"learners": {"count": 3}, "stop": {"rounds": 2}, **tables}
    async with asyncio.timeout(30), Federation(config) as federation:
        for _ in range(3):
            federation.add_learner(Steady)
        return await federation.run()


async def lineage(place: Path) -> list[Entry]:
    store = FileStorage(place=str(place))
    await store.open()
    entries = await store.lineage(None)
    await store.close()
    return entries


async def test_each_version_s_facts_are_those_of_its_round(tmp_path):
    began_unix_s = time.time()
    await run(store={"url": f"file://{tmp_path}/models"})
    first, *entries = await lineage(tmp_path / "models")
    assert (first.number, first.facts) == (0, {})
    assert [entry.facts["round"] for entry in entries] == [entry.number for entry in entries] == [1, 2]
    for entry in entries:
        assert entry.facts["contributors"] == {
            "learner-0": {"num_examples": 10, "staleness": 0},
            "learner-1": {"num_examples": 11, "staleness": 0},
        }
        assert entry.facts["metrics"] == {"mean": pytest.approx(entry.number)}
        assert entry.facts["totals"]["accepted"] == 2
        assert entry.facts["totals"]["refused"] == {"learner_failed": 1}
        assert began_unix_s < entry.facts["committed_unix_s"] < time.time()


async def test_a_round_of_too_many_learners_is_written_down_as_a_whole(tmp_path):
    await run(store={"url": f"file://{tmp_path}/models"}, limits={"detail_learners_max": 2})
    facts = (await lineage(tmp_path / "models"))[-1].facts
    assert facts["totals"]["accepted"] == 2
    assert "contributors" not in facts


@pytest.mark.parametrize("error", [StoreError("the disk is full"), NoSuchModel("it was evicted")])
async def test_a_store_that_cannot_write_facts_down_fails_no_run(monkeypatch, error):
    asked = []

    async def describe(_self, version, _facts):
        asked.append(version)
        raise error

    monkeypatch.setattr(MemoryStorage, "describe", describe)
    results = await run()
    assert asked == [1, 2]
    assert len(results.rounds) == 2


@pytest.mark.parametrize("writable", [True, False])
async def test_facts_that_the_process_before_had_no_time_for_are_written_when_a_run_is_resumed(tmp_path, monkeypatch, writable):
    opened = Opened("x", 1, {})
    record = RoundRecord(1, 1, "1970-01-01T00:01:40+00:00", 1.5, Phases(0, 0, 0, 0), (), {}, {"loss": 0.5})
    news = [
        (EventKind.INITIALISED, {"source": "a"}),
        (EventKind.ROUND_BEGAN, {"round": 1, "version": 0, "cohort": ["a"]}),
        (EventKind.ROUND_COMMITTED, {"round": 1, "version": 1, "updates": 1}),
        (EventKind.ROUND_ENDED, {"record": record.to_map()}),
    ]
    with closing(FileJournal(tmp_path / "journal", opened)) as journal:
        for number, (kind, body) in enumerate(news):
            journal.write(Happened(Event(number, 100.0, kind, body)))
    storage = MemoryStorage()
    await storage.open()
    model = GlobalModel.initial({"w": np.zeros(4, np.float32)})
    for version in (0, 1):
        await storage.put(GlobalModel(version, model.layout, model.buffer))
    if not writable:
        monkeypatch.setattr(MemoryStorage, "describe", refuse)
    with closing(FileJournal(tmp_path / "journal", opened, resume=True)) as journal:
        life = await resume(StopConditions(), storage, journal, 200.0)
    assert life.version == 1
    initial, first = await storage.lineage(None)
    assert initial.facts == {}
    assert first.facts.get("metrics") == ({"loss": 0.5} if writable else None)
    await storage.close()


async def refuse(_self, _version, _facts):
    raise StoreError("the disk is full")


def test_who_gave_nothing_that_counts_is_no_contributor():
    parts = {
        "gave": LearnerRecord(examples=5, epochs=1.0, bytes_up=9, staleness=2),
        "gave without an example": LearnerRecord(epochs=1.0, bytes_up=9),
        "silent": LearnerRecord(),
        "refused": LearnerRecord(examples=5, bytes_up=9, refused="late: it came too late"),
    }
    record = RoundRecord(3, 2, "1970-01-01T00:01:40.500000+00:00", 1.5, Phases(0, 0, 0, 0), (), parts, {"loss": 0.5}, Totals())
    facts = of_round(record)
    assert facts["contributors"] == {
        "gave": {"num_examples": 5, "staleness": 2}, "gave without an example": {"num_examples": 0, "staleness": 0},
    }  # fmt: skip
    assert (facts["round"], facts["committed_unix_s"], facts["metrics"]) == (3, 102.0, {"loss": 0.5})
