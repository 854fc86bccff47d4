"""Packed updates that count, kept as they travelled, and offered again by another life of the controller."""

from __future__ import annotations

import numpy as np
import pytest

from fedactors.actors.aggregator import AggregationPlan, Aggregator
from fedactors.actors.compute import Compute
from fedactors.actors.messages import (
    Combined,
    CombineRound,
    FoldUpdate,
    Initialise,
    Initialised,
    NotRecalled,
    Offer,
    Recall,
    UpdateHere,
    Verdict,
)
from fedactors.actors.model_store import ModelStore
from fedactors.aggregation import Weighting
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.ordered import Ordered
from fedactors.compression.bf16 import Bf16
from fedactors.compression.int8 import Int8
from fedactors.compression.top_k import TopK
from fedactors.form import IDENTITY
from fedactors.journal import NoJournal
from fedactors.model import Layout
from fedactors.runtime import ActorSystem
from fedactors.storage.file import FileStorage
from fedactors.task import TrainReport
from fedactors.testing import Probe

LAYOUT = Layout.from_specs([("w", "float32", (100,)), ("n", "int64", ())])
NEW = {"a": 3.0, "b": 5.0}


class Keeping(NoJournal):
    """Forgets nothing while the test goes on."""

    keeps = keeps_updates = True


def weights(value):
    return LAYOUT.pack({"w": np.full(100, value, np.float32), "n": np.array(int(value))})


class Life:
    """An aggregator at work on a file store."""

    def __init__(self, system, storage, form, journal, rule=None):
        self.probe, self.storage = Probe(system), storage
        store = system.spawn(lambda: ModelStore(storage, 1024))
        plan = AggregationPlan(rule or FedAvg(), Weighting.PARTICIPANTS, form=form)
        self.aggregator = system.spawn(lambda: Aggregator(plan, store, self.probe.ref, Compute(), journal))

    async def begin(self, form):
        """A model of ones, and two updates that count."""
        await self.aggregator.ask(Initialise("a", LAYOUT, weights(1.0)))
        await self.probe.expect(Initialised)
        for learner, value in NEW.items():
            packed = form.pack(weights(value), weights(1.0), LAYOUT, 7)
            self.aggregator.tell(Offer(f"{learner}1", learner, TrainReport(1), packed, form=form))
            self.aggregator.tell(FoldUpdate(f"{learner}1", 0, 1, self.probe.ref))
            await self.probe.expect(Verdict)

    async def recall(self, journal):
        """What is said of the updates that count."""
        said = []
        for task, counted in journal.story.counted.items():
            self.aggregator.tell(Recall(task, counted, self.probe.ref))
            said.append(type(await self.probe.expect(object)))
        return said

    async def combined(self):
        """The mean of what counts."""
        self.aggregator.tell(CombineRound(1, self.probe.ref))
        await self.probe.expect(Combined)
        return (await self.storage.get(1)).weights


@pytest.fixture
async def lives(tmp_path):
    """Two lives of one controller, of these forms; the first dies before its round is committed."""
    journal = Keeping()

    async def live(form, until, rule=None):
        storage = FileStorage(place=str(tmp_path))
        await storage.open()
        async with ActorSystem(name="life") as system:
            found = await until(Life(system, storage, form, journal, rule), journal)
        await storage.close()
        return found

    return live


@pytest.mark.parametrize("form", [IDENTITY, Bf16(), Int8(), TopK(1.0)], ids=lambda form: type(form).__name__)
@pytest.mark.parametrize("rule", [FedAvg(), Ordered(FedAvg())], ids=lambda rule: type(rule).__name__)
async def test_what_counted_counts_in_the_next_life_as_it_travelled(lives, form, rule):
    async def first(life, journal):
        await life.begin(form)
        kept = {counted.learner: counted.sequence for counted in journal.story.counted.values()}
        assert set(kept) == set(NEW)

    async def second(life, journal):
        assert await life.recall(journal) == [UpdateHere] * 2
        for task in journal.story.counted:
            life.aggregator.tell(FoldUpdate(task, 0, 1, None))
        return await life.combined()

    await lives(form, first, rule)
    mean = await lives(form, second, rule)
    np.testing.assert_allclose(mean["w"], 4.0, rtol=0.01)
    assert mean["n"] == 4


async def test_a_life_with_another_form_has_learners_train_again(lives):
    async def first(life, _):
        await life.begin(Int8())

    async def second(life, journal):
        return await life.recall(journal)

    await lives(Int8(), first)
    assert await lives(Bf16(), second) == [NotRecalled] * 2


async def test_a_life_with_another_form_takes_updates_that_travelled_as_they_are(lives):
    async def first(life, _):
        await life.begin(IDENTITY)

    async def second(life, journal):
        return await life.recall(journal)

    await lives(Int8(), first)
    assert await lives(Bf16(), second) == [UpdateHere] * 2
