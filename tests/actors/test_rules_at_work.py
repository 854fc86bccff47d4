"""Rules in a whole federation: what the aggregator hands them, and what comes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors.actors.aggregator import AggregationPlan, Aggregator
from fedactors.actors.compute import Compute
from fedactors.actors.messages import (
    BorrowBuffer,
    Combined,
    CombineRound,
    FoldUpdate,
    ForgetLearner,
    Initialise,
    Initialised,
    Offer,
)
from fedactors.actors.model_store import ModelStore
from fedactors.aggregation import Rule, Weighting
from fedactors.aggregation.discount import Polynomial
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.fedbuff import FedBuff
from fedactors.aggregation.fedrec import FedRec
from fedactors.aggregation.wrapping import Wrapping, WrappingFold
from fedactors.journal import NoJournal
from fedactors.model import GlobalModel, Layout
from fedactors.runtime import ActorSystem
from fedactors.storage.memory import MemoryStorage
from fedactors.task import TrainReport
from fedactors.testing import Probe

LAYOUT = Layout.from_specs([("w", "float64", (2,))])


def buffer(value: float) -> np.ndarray:
    return LAYOUT.pack({"w": np.full(2, value)})


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
        return {"w": weights["w"] + self.step}, {"num_batches": 2}

    def evaluate(self, weights, params):
        return {"mean": weights["w"].mean(), "num_examples": 1}


async def trained(learners: int = 3, **tables: Any) -> float:
    """The mean weight after two rounds of learners that add 1, 2, 3 ..."""
    config = {"name": "rules", "seed": 3, "learners": {"count": learners}, "stop": {"rounds": 2}, **tables}
    async with Federation(config) as federation:
        for _ in range(learners):
            federation.add_learner(Steady)
        await asyncio.wait_for(federation.run(), 60)
        return float((await federation.model()).weights["w"].mean())


SYNCHRONOUS = [
    ({"rule": "fedavg"}, 4.0),
    ({"rule": "fedstride", "options": {"stride": 2}}, 4.0),
    ({"rule": "fedavgm", "options": {"momentum": 0.5}}, 2.0 + 3.0),
    ({"rule": "fedavgm", "options": {"momentum": 0.0}, "combine": "median"}, 4.0),
    ({"rule": "fedadagrad", "options": {"server_learning_rate": 1.0, "tau": 1e-6}}, 1 + 0.5**0.5),
    ({"rule": "fednova"}, 4.0),
    ({"rule": "fedrec"}, 4.0),
    ({"rule": "fedbuff", "options": {"server_learning_rate": 0.5}}, 2.0),
    ({"rule": "median"}, 4.0),
    ({"rule": "geometric_median"}, 4.0),
    ({"rule": "fedavg", "clip_norm": 4.0}, 2.0),
]


@pytest.mark.parametrize(("aggregation", "expected"), SYNCHRONOUS, ids=[str(table) for table, _ in SYNCHRONOUS])
async def test_two_synchronous_rounds_come_to_the_rules_result(aggregation, expected):
    assert await trained(aggregation=aggregation) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rule", ["krum", "multi_krum", "trimmed_mean"])
async def test_a_rule_for_more_learners_works_with_more_learners(rule):
    assert 2 <= await trained(5, aggregation={"rule": rule}) <= 10


@pytest.mark.parametrize("rule", ["fedasync", "fedrec", "fedbuff"])
@pytest.mark.parametrize("protocol", ["asynchronous", "buffered"])
async def test_a_rule_for_stale_updates_works_where_nobody_waits(protocol, rule):
    options = {"updates": 2} if protocol == "buffered" else {}
    tables = {"protocol": {"name": protocol, "options": options}, "stop": {"rounds": 12}}
    assert await trained(aggregation={"rule": rule, "discount": "polynomial"}, **tables) > 1.0


# ---------------------------------------------------------------------------------------------- the aggregator alone


async def folded(rule: Rule, *, lineage: int = 4, forget: bool = False) -> float:
    """A fresh update, a commit, then one from version 0 and one from version 1, a commit."""
    async with ActorSystem(name="rules") as system:
        storage = MemoryStorage(lineage_length=lineage)
        await storage.open()
        store = system.spawn(lambda: ModelStore(storage, 1024), name="store")
        probe = Probe(system)
        plan = AggregationPlan(rule, Weighting.PARTICIPANTS, Polynomial(1.0))
        aggregator = system.spawn(lambda: Aggregator(plan, store, probe.ref, Compute(), NoJournal()), name="aggregator")
        await aggregator.ask(Initialise("a", LAYOUT, buffer(1.0)))
        rounds = [[("a", 5.0, 0)], [("b", 3.0, 1), ("c", 9.0, 0)]]
        for number, updates in enumerate(rounds, 1):
            for learner, value, staleness in updates:
                aggregator.tell(Offer(f"{learner}{number}", learner, TrainReport(1), buffer(value)))
                aggregator.tell(FoldUpdate(f"{learner}{number}", staleness, number, None))
            if forget and number == 2:
                aggregator.tell(ForgetLearner("a"))
            aggregator.tell(CombineRound(number, probe.ref))
        await probe.expect(Initialised)
        for _ in rounds:
            await probe.expect(Combined)
        model: GlobalModel = await storage.get(len(rounds))
        return float(model.weights["w"][0])


async def test_a_stale_update_counts_from_its_base_with_its_discount():
    """Version 1 is 5; then ((3 - 1) / 2 + (9 - 5)) / 2 is added."""
    assert await folded(FedBuff()) == pytest.approx(7.5)


async def test_the_base_of_an_open_task_is_kept_although_the_store_evicts_it():
    assert await folded(FedBuff(), lineage=1) == await folded(FedBuff())


async def test_a_learner_that_left_is_forgotten_by_the_rule():
    assert await folded(FedRec()) == pytest.approx((5 + 3 / 2 + 9) / 2.5)
    assert await folded(FedRec(), forget=True) == pytest.approx((3 / 2 + 9) / 1.5)


class InPairs(Wrapping):
    """The rule of a fold that adds updates by twos, and so holds every other one for a while."""

    rule = FedAvg()

    def fold(self, layout):
        return PairFold(self.rule.fold(layout))


class PairFold(WrappingFold):
    def __init__(self, fold):
        super().__init__(fold)
        self.held = []

    def add(self, contribution):
        self.held.append(contribution)
        if len(self.held) == 2:
            self._add_held()

    def holds(self, buffer):
        return any(buffer is one.buffer for one in self.held)

    def _add_held(self):
        for one in self.held:
            self._fold.add(one)
        self.held.clear()

    def commit(self, current):
        self._add_held()
        return super().commit(current)


async def test_a_buffer_that_a_fold_holds_is_not_lent_again_before_it_is_let_go():
    async with ActorSystem(name="rules") as system:
        storage = MemoryStorage()
        await storage.open()
        store, probe = system.spawn(lambda: ModelStore(storage, 1024), name="store"), Probe(system)
        plan = AggregationPlan(InPairs(), Weighting.PARTICIPANTS, uploads_max=1)
        aggregator = system.spawn(lambda: Aggregator(plan, store, probe.ref, Compute(), NoJournal()), name="aggregator")
        await aggregator.ask(Initialise("a", LAYOUT, buffer(1.0)))
        lent = []
        for number in range(5):
            loan = await aggregator.ask(BorrowBuffer(LAYOUT.nbytes))
            loan.buffer[:] = buffer(float(number))
            aggregator.tell(Offer(f"{number}", f"{number}", TrainReport(1), loan.buffer))
            aggregator.tell(FoldUpdate(f"{number}", 0, 1, None))
            lent.append(loan.buffer)
        aggregator.tell(CombineRound(1, probe.ref))
        await probe.expect(Initialised)
        await probe.expect(Combined)
        assert (await storage.get(1)).weights["w"][0] == 2.0
        assert len({id(one) for one in lent}) == 2
