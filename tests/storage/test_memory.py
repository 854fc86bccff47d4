"""The in-memory model store, and what every store decides in the same way."""

import json

import numpy as np
import pytest

from fedactors.errors import ConfigError, NoSuchModel, StoreError
from fedactors.model import GlobalModel, Layout
from fedactors.storage import LearnerModel, Statistics
from fedactors.storage.entries import RuleState, learner_problem
from fedactors.storage.library import FACTS_BYTES_MAX
from fedactors.storage.memory import MemoryStorage
from fedactors.testing import check_many_learners, check_store

LAYOUT = Layout.from_specs([("w", "float32", (3,))])
NBYTES = LAYOUT.nbytes


def model(version):
    return GlobalModel(version, LAYOUT, LAYOUT.pack({"w": np.full(3, version, np.float32)}))


def sent(learner, sequence):
    return LearnerModel(learner, sequence, 0, LAYOUT, LAYOUT.pack({"w": np.full(3, sequence, np.float32)}))


async def filled(storage, versions=0):
    await storage.open()
    for version in range(versions):
        await storage.put(model(version))
    return storage


async def sequences(storage, learner):
    return [entry.number for entry in await storage.lineage(learner)]


@pytest.mark.parametrize("lineage_length", [0, 1, 4])
async def test_memory_conforms(lineage_length):
    await check_store(lambda: MemoryStorage(lineage_length), lineage_length=lineage_length)


async def test_ten_thousand_learners_have_lineages():
    await check_many_learners(MemoryStorage)


async def test_newest_versions_are_kept():
    assert await (await filled(MemoryStorage(lineage_length=2), 5)).versions() == [3, 4]


async def test_nothing_is_evicted_where_the_length_is_zero():
    assert await (await filled(MemoryStorage(lineage_length=0), 9)).versions() == list(range(9))


async def test_versions_are_kept_without_a_copy():
    storage, kept = await filled(MemoryStorage()), model(0)
    await storage.put(kept)
    assert (await storage.get(0)).buffer is kept.buffer


async def test_missing_version_is_named_with_those_that_there_are():
    storage = await filled(MemoryStorage(lineage_length=2), 5)
    with pytest.raises(NoSuchModel, match=r"no model of version 1 in memory; kept are versions 3, 4 \(lineage_length=2\)"):
        await storage.get(1)


async def test_missing_version_of_an_empty_store_says_that_it_is_empty():
    storage = await filled(MemoryStorage())
    with pytest.raises(NoSuchModel, match="no model of version 0 in memory; nothing is kept yet"):
        await storage.get(0)


async def test_version_is_written_once():
    storage = await filled(MemoryStorage(), 2)
    with pytest.raises(StoreError, match="version 1 cannot be kept: version 1 is"):
        await storage.put(model(1))


async def test_two_stores_share_nothing():
    await filled(MemoryStorage(), 2)
    assert await (await filled(MemoryStorage())).versions() == []


@pytest.mark.parametrize("limit", ["lineage_length", "max_bytes"])
def test_negative_limits_are_refused(limit):
    with pytest.raises(ConfigError, match=f"{limit}=-1"):
        MemoryStorage(**{limit: -1})


async def test_what_was_put_first_makes_room_whoever_sent_it():
    storage = await filled(MemoryStorage(lineage_length=0, max_bytes=4 * NBYTES))
    for put in (sent("a", 0), model(0), sent("b", 0), sent("a", 1), sent("b", 1)):
        await storage.put(put)
    assert await sequences(storage, "a") == [1]
    assert await sequences(storage, "b") == [0, 1]
    assert await storage.versions() == [0]


async def test_the_newest_version_makes_no_room():
    storage = await filled(MemoryStorage(lineage_length=0, max_bytes=2 * NBYTES), 1)
    for sequence in range(5):
        await storage.put(sent("a", sequence))
    assert await storage.versions() == [0]
    assert await sequences(storage, "a") == [4]


async def test_a_version_makes_room_for_the_next():
    assert await (await filled(MemoryStorage(lineage_length=0, max_bytes=NBYTES), 3)).versions() == [2]


async def test_a_model_that_can_never_fit_is_refused_and_nothing_goes():
    storage = await filled(MemoryStorage(max_bytes=NBYTES), 1)
    with pytest.raises(StoreError, match=r"model 0 of learner 'a' cannot be kept: 128 bytes are more than max_bytes=64"):
        await storage.put(sent("a", 0))
    assert await storage.versions() == [0]


async def test_facts_are_added_to_those_that_there_are():
    storage = await filled(MemoryStorage(), 1)
    await storage.describe(0, {"round": 1, "contributors": {"a": 0.5}})
    await storage.describe(0, {"metrics": {"loss": 1.0}, "round": 2})
    (entry,) = await storage.lineage(None)
    assert entry.facts == {"round": 2, "contributors": {"a": 0.5}, "metrics": {"loss": 1.0}}


async def test_facts_are_the_store_s_own_and_bounded():
    storage, facts = await filled(MemoryStorage(), 1), {"metrics": {"loss": 1.0}}
    await storage.describe(0, facts)
    facts["metrics"]["loss"] = 2.0
    with pytest.raises(StoreError, match="what is known of version 0 takes"):
        await storage.describe(0, {"long": "x" * FACTS_BYTES_MAX})
    (entry,) = await storage.lineage(None)
    assert json.dumps(entry.facts) == '{"metrics": {"loss": 1.0}}'


async def test_statistics_count():
    storage = await filled(MemoryStorage(lineage_length=2), 3)
    await storage.put(sent("a", 0))
    await storage.get(2)
    assert await storage.statistics() == Statistics(2, 1, 1, 3 * NBYTES, puts=4, gets=1, evicted=1)


async def test_models_evicted_while_they_are_gone_through_are_passed_over():
    storage = await filled(MemoryStorage(lineage_length=2))
    for sequence in range(2):
        await storage.put(sent("a", sequence))
    seen = []
    async for one in storage.select(["a"], 2):
        seen.append(one.sequence)
        await storage.erase(["a"])
    assert seen == [0]


async def test_conformance_finds_a_store_that_forgets():
    class Forgetful(MemoryStorage):
        async def get(self, version):
            raise NoSuchModel(f"no version {version}")

    with pytest.raises(NoSuchModel):
        await check_store(Forgetful, lineage_length=4)


async def test_conformance_finds_a_store_that_keeps_the_caller_s_buffer():
    class Careless(MemoryStorage):
        def shelf(self, home):
            shelf, place = super().shelf(home)
            shelf.write = lambda entry, buffer, going: shelf._buffers.update({entry.serial: buffer})
            return shelf, place

    with pytest.raises(AssertionError, match="changed after it was put"):
        await check_store(lambda: Careless(0))


def state(learner, version):
    return RuleState(learner, version, LAYOUT, LAYOUT.pack({"w": np.full(3, version, np.float32)}))


async def kept_of_the_rule(storage, version):
    return {state.learner: (state.version, state.buffer.view(np.float32)[0]) for state in await storage.rule_states(version)}


@pytest.mark.parametrize("limits", [{"lineage_length": 1}, {"lineage_length": 0, "max_bytes": 6 * NBYTES}], ids=str)
async def test_what_a_rule_keeps_makes_room_for_nothing_but_its_successor(limits):
    storage = await filled(MemoryStorage(**limits))
    await storage.put(model(0))
    for version in range(1, 6):
        await storage.put(state(None, version))
        if version == 1:
            await storage.put(state("a", version))
        await storage.put(sent("b", version))
        assert await kept_of_the_rule(storage, version - 1) == (
            {} if version == 1 else {None: (version - 1, version - 1), "a": (1, 1)}
        )
        for learner in [None, "a"] if version == 1 else [None]:
            await storage.put(state(learner, version))
        await storage.put(model(version))
        assert await kept_of_the_rule(storage, version) == {None: (version, version), "a": (1, 1)}
    assert (await storage.statistics()).learners == 1


async def test_the_state_before_goes_with_the_put_of_the_next_version_and_not_sooner():
    storage = await filled(MemoryStorage(lineage_length=1))
    for version in range(3):
        before = (await storage.statistics()).nbytes
        await storage.put(state(None, version))
        assert (await storage.statistics()).nbytes == before + NBYTES
        await storage.put(model(version))
        assert (await storage.statistics()).nbytes == 2 * NBYTES


async def test_there_is_a_limit_for_what_rules_keep_too():
    storage = await filled(MemoryStorage(lineage_length=0, max_bytes=2 * NBYTES))
    await storage.put(model(0))
    await storage.put(state(None, 1))
    with pytest.raises(StoreError, match="what the rule keeps of 'a' cannot be kept: 192 bytes are more than max_bytes=128"):
        await storage.put(state("a", 1))


@pytest.mark.parametrize(
    ("learner", "problem"),
    [
        ("a b/ü", None),
        ("", "is empty"),
        ("a\x1fb", "is not printable"),
        ("\n", "is not"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b", "is not printable"),
        ("a" * 129, "is longer than 128 characters"),
        ("a ", "looks like another"),
        ("\N{FULLWIDTH LATIN SMALL LETTER A}", "looks like another"),
        ("u\N{COMBINING DIAERESIS}", "looks like another"),
    ],
)
def test_ids_under_which_nothing_can_be_kept_are_told(learner, problem):
    said = learner_problem(learner)
    assert said is None if problem is None else problem in str(said)
