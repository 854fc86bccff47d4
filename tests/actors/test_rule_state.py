"""What a rule keeps from round to round outlives the aggregator: after any failure the run comes to the same bits."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors.actors.aggregator import AggregationPlan, Aggregator
from fedactors.actors.compute import Compute
from fedactors.actors.messages import Combined, CombineRound, FoldUpdate, Initialise, Initialised, Offer
from fedactors.actors.model_store import ModelStore
from fedactors.aggregation import Rule, Weighting
from fedactors.aggregation.fedadam import FedAdam
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.fedrec import FedRec
from fedactors.aggregation.ordered import OrderedFold
from fedactors.journal import NoJournal
from fedactors.model import GlobalModel, Layout
from fedactors.protocol import Hello, join
from fedactors.protocol.session import JoinRefused
from fedactors.runtime import ActorSystem
from fedactors.storage import Storage
from fedactors.storage.file import FileStorage
from fedactors.storage.memory import MemoryStorage
from fedactors.task import TrainReport
from fedactors.testing import Probe
from fedactors.transport import Address
from fedactors.transport.memory import MemoryTransport
from tests.actors.test_survival import Steady, fail_once

LAYOUT = Layout.from_specs([("w", "float32", (3,))])


async def trained(rule: str) -> bytes:
    config: dict[str, Any] = {
        "name": "kept",
        "seed": 3,
        "learners": {"count": 3},
        "stop": {"rounds": 5},
        "aggregation": {"rule": rule},
    }
    config["selection"] = {"policy": "uniform", "options": {"fraction": 0.67}}
    async with asyncio.timeout(60), Federation(config) as federation:
        for _ in range(3):
            federation.add_learner(Steady)
        await federation.run()
        return (await federation.model()).buffer.tobytes()


FAILURES = [(OrderedFold, "add", 8), *((MemoryStorage, "put", at) for at in (3, 4, 9))]


@pytest.mark.parametrize("rule", ["fedadam", "fedrec"])
async def test_an_aggregator_that_fails_goes_on_with_what_its_rule_kept(monkeypatch, rule):
    undisturbed = await trained(rule)
    for owner, name, at in FAILURES:
        with monkeypatch.context() as patched:
            calls = fail_once(patched, owner, name, at)
            assert await trained(rule) == undisturbed, f"{owner.__name__}.{name} failed at {at}"
            assert calls["all"] > at, "the failure was not the last call"


# ---------------------------------------------------------------------------------------------------- the aggregator alone


class Life:
    """An aggregator at work on a store, for as long as nobody kills it."""

    def __init__(self, system: ActorSystem, storage: Storage, rule: Rule, journal: NoJournal) -> None:
        self.probe = Probe(system)
        store = system.spawn(lambda: ModelStore(storage, 1024))
        plan = AggregationPlan(rule, Weighting.EXAMPLES)
        self.aggregator = system.spawn(lambda: Aggregator(plan, store, self.probe.ref, Compute(), journal))

    async def begin(self) -> None:
        await self.aggregator.ask(Initialise("a", LAYOUT, buffer(0.0)))
        await self.probe.expect(Initialised)

    async def round(self, number: int, **values: float) -> None:
        for learner, value in values.items():
            task = f"{learner}{number}"
            self.aggregator.tell(Offer(task, learner, TrainReport(int(value) + 1), buffer(value)))
            self.aggregator.tell(FoldUpdate(task, 0, number, None))
        self.aggregator.tell(CombineRound(number, self.probe.ref))
        await self.probe.expect(Combined)


def buffer(value: float) -> np.ndarray:
    return LAYOUT.pack({"w": np.array([value, value / 3, -value], np.float32)})


ROUNDS = [{"a": 1.0, "b": 2.0}, {"b": 3.0, "c": 5.0}, {"a": 7.0}, {"c": 4.0, "b": 2.5}]


async def weights_of(place: str, rule: Rule, lives: list[int]) -> list[np.ndarray]:
    """The weights after these rounds, of which each life has so many; each opens the store anew."""
    journal = NoJournal()
    journal.story.here.update(dict.fromkeys("abc"))
    rounds = iter(enumerate(ROUNDS, 1))
    for number, length in enumerate(lives):
        storage = FileStorage(place=place, lineage_length=1)
        await storage.open()
        async with ActorSystem(name="lives") as system:
            life = Life(system, storage, rule, journal)
            if number == 0:
                await life.begin()
            for _, (round_, values) in zip(range(length), rounds, strict=False):
                await life.round(round_, **values)
            model: GlobalModel = await storage.get(sum(lives[: number + 1]))
            weights = model.weights["w"].copy()
        await storage.close()
    return weights


@pytest.mark.parametrize("rule", [FedAdam(), FedRec()], ids=["fedadam", "fedrec"])
async def test_a_store_that_is_opened_anew_knows_what_the_rule_kept(tmp_path, rule):
    expected = await weights_of(str(tmp_path / "one"), rule, [4])
    np.testing.assert_array_equal(await weights_of(str(tmp_path / "four"), rule, [1, 1, 1, 1]), expected)


async def test_only_one_state_is_kept_and_none_of_a_rule_that_keeps_nothing(tmp_path):
    models = {}
    for rule in (FedAvg(), FedAdam(), FedRec()):
        place = str(tmp_path / type(rule).__name__)
        await weights_of(place, rule, [4])
        storage = FileStorage(place=place)
        await storage.open()
        models[type(rule)] = [state.learner for state in await storage.rule_states(4)]
        nbytes = (await storage.statistics()).nbytes
        assert nbytes == LAYOUT.nbytes + sum(state.buffer.nbytes for state in await storage.rule_states(4))
        await storage.close()
    assert models == {FedAvg: [], FedAdam: [None], FedRec: ["a", None, "c", "b"]}


async def test_a_rule_that_took_the_place_of_another_begins_anew_and_says_so(tmp_path, caplog):
    place = str(tmp_path / "models")
    storage = FileStorage(place=place)
    journal = NoJournal()
    await weights_of(place, FedRec(), [2])
    await storage.open()
    async with ActorSystem(name="lives") as system:
        await Life(system, storage, FedAdam(), journal).round(3, a=7.0)
        states = await storage.rule_states(3)
    assert [state.learner for state in states] == [None], "what the rule before kept of learners is gone"
    await storage.close()
    (said,) = [record.msg["why"] for record in caplog.records if record.msg["event"] == "rule_begins_anew"]
    assert "'optimiser.0.m'" in said


async def test_a_learner_that_left_while_nobody_was_there_counts_no_more(tmp_path):
    place, journal = str(tmp_path / "models"), NoJournal()
    await weights_of(place, FedRec(), [2])
    journal.story.here.update(dict.fromkeys("bc"))
    storage = FileStorage(place=place)
    await storage.open()
    async with ActorSystem(name="lives") as system:
        await Life(system, storage, FedRec(), journal).round(3, b=3.0)
        found = (await storage.get(3)).weights["w"][0]
        assert {state.learner for state in await storage.rule_states(3)} == {None, "b", "c"}
    assert found == np.float32((4 * 3.0 + 6 * 5.0) / 10)
    await storage.close()


async def test_a_learner_whose_id_could_be_a_rules_entry_is_turned_away():
    channel = MemoryTransport().connect(Address.parse("memory://ids"))
    async with asyncio.timeout(30), Federation({"name": "ids"}, addresses=["memory://ids"]):
        with pytest.raises(JoinRefused, match=r"the learner id '\\x1fanna' is not printable; name it with letters and digits"):
            await join(channel, Hello("\x1fanna"), timeout_s=5)
    await channel.close()
