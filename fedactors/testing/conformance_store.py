"""What every model store owes its federation, checked on a store of yours.

async def test_my_store_conforms(tmp_path):
    await check_store(lambda: MyStore(place=str(tmp_path)), survives_reopening=True)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np

from fedactors.errors import NoSuchModel, StoreError
from fedactors.model import GlobalModel, Layout, LearnerId, Version
from fedactors.storage import ANYWHERE, Home, LearnerModel, Storage
from fedactors.storage.entries import Model, RuleState, rule_owner

LAYOUT = Layout.from_specs(
    [("kernel", "float32", (3, 5)), ("steps", "int64", ()), ("half", "bfloat16", (7,)), ("empty", "bool", (0,))]
)


async def check_store(
    make: Callable[[], Storage],
    *,
    versions: int = 12,
    lineage_length: int = 0,
    survives_reopening: bool = False,
    home: Home = ANYWHERE,
) -> None:
    """Put, get, list, select, describe and forget, all at once too, and ask for what is not there.

    Args:
        make: a store on a place that is empty the first time; called again for the same place.
        versions: how many to put; more than it keeps, so that eviction is seen.
        lineage_length: how many of each owner's models it keeps; 0: all.
        survives_reopening: models outlive `close`; what is checked then is that another store finds them.
        home: what the store is opened with.

    Raises:
        AssertionError: it does not do what a store owes; the message says what.
    """
    kept = lineage_length or versions
    async with _opened(make, home) as store:
        assert await store.versions() == [], "the store is not empty at the beginning"
        await _is_missing(store, 0)
        await _keeps_versions(store, versions, kept)
        await _keeps_lineages(store, versions, kept)
        await _keeps_what_comes_at_once(store, versions)
        await _keeps_what_a_rule_keeps(store, versions - 1)
        await _keeps_facts(store, versions - 1)
        before = await _told(store)
    async with _opened(make, home) as store:
        if survives_reopening:
            assert await _told(store) == before, "another store on the same place finds something else"
            await _is_consistent(store, versions, kept)
            await _refuses_to_write_again(store, versions - 1)
        await _forgets(store)


async def check_large_model(make: Callable[[], Storage], nbytes: int, *, home: Home = ANYWHERE) -> None:
    """Put a model of about so many bytes, and get it back from a store that is opened anew.

    Raises:
        AssertionError: it came back different.
    """
    layout = Layout.from_specs([("large", "uint8", (nbytes,))])
    buffer = np.random.default_rng(0).integers(0, 256, layout.nbytes, np.uint8)
    async with _opened(make, home) as store:
        await store.put(GlobalModel(0, layout, buffer))
    async with _opened(make, home) as store:
        found = (await store.get(0)).buffer
        assert np.array_equal(found, buffer), f"a model of {layout.nbytes:,} bytes came back different"


async def check_many_learners(
    make: Callable[[], Storage], learners: int = 10_000, *, survives_reopening: bool = False, home: Home = ANYWHERE
) -> None:
    """Put a small model of each of many learners, and select some.

    Raises:
        AssertionError: one is missing, or came back different.
    """
    names = [f"learner-{index}" for index in range(learners)]
    wanted = names[:: max(1, learners // 10)]
    async with _opened(make, home) as store:
        for start in range(0, learners, 100):
            await asyncio.gather(*(store.put(_sent(name, 0)) for name in names[start : start + 100]))
        await _has_many(store, learners, wanted)
    if survives_reopening:
        async with _opened(make, home) as store:
            await _has_many(store, learners, wanted)


async def _has_many(store: Storage, learners: int, wanted: list[LearnerId]) -> None:
    statistics = await store.statistics()
    assert statistics.learners == learners, f"of {learners:,} learners {statistics.learners:,} have a lineage"
    found = [one async for one in store.select(wanted, 1)]
    assert [one.learner for one in found] == wanted, "select does not find every learner"
    for one in found:
        assert one.buffer.tobytes() == _sent(one.learner, 0).buffer.tobytes(), f"the model of {one.learner} has changed"


@asynccontextmanager
async def _opened(make: Callable[[], Storage], home: Home) -> AsyncIterator[Storage]:
    store = make()
    await store.open(home)
    try:
        yield store
    finally:
        await store.close()
        await store.close()


def _model(version: Version) -> GlobalModel:
    rng = np.random.default_rng(version)
    buffer = np.zeros(LAYOUT.nbytes, np.uint8)
    for view in LAYOUT.views(buffer).values():
        view[...] = rng.integers(0, 100, view.shape)
    return GlobalModel(version, LAYOUT, buffer)


def _sent(learner: LearnerId, sequence: int) -> LearnerModel:
    return LearnerModel(learner, sequence, sequence // 2, LAYOUT, _model(sequence + 1000 * len(learner)).buffer.copy())


async def _keeps_versions(store: Storage, versions: int, kept: int) -> None:
    for version in range(versions):
        await store.put(_model(version))
        await _finds(store, version)
        await _is_consistent(store, version + 1, kept)
    await _is_missing(store, versions)
    await _refuses_to_write_again(store, versions - 1)


async def _keeps_lineages(store: Storage, models: int, kept: int) -> None:
    assert await store.lineage("long-absent") == [], "a learner that sent nothing has a lineage"
    for sequence in range(models):
        for learner in ("a", "long-named learner, ü"):
            sent = _sent(learner, sequence)
            await store.put(sent)
            sent.buffer[:] = 255
    await _has_lineage(store, "a", models, kept)
    await _has_lineage(store, "long-named learner, ü", models, kept)
    newest = [one async for one in store.select(["long-named learner, ü", "long-absent", "a"], 1)]
    assert [one.learner for one in newest] == ["long-named learner, ü", "a"], "select does not go learner by learner"


async def _has_lineage(store: Storage, learner: LearnerId, models: int, kept: int) -> None:
    listed = [entry.number for entry in await store.lineage(learner)]
    assert listed == list(range(models))[-kept:], f"the lineage of {learner!r} is {listed}"
    for newest in (1, 2, models + 1):
        found = [one async for one in store.select([learner], newest)]
        assert [one.sequence for one in found] == listed[-newest:], "select does not give the newest, oldest first"
        for one in found:
            put = _sent(learner, one.sequence)
            assert (one.learner, one.base, one.layout) == (learner, put.base, LAYOUT), f"{one.learner!r} is not what was put"
            assert one.buffer.tobytes() == put.buffer.tobytes(), f"a model of {learner!r} has changed after it was put"
            assert not one.buffer.flags.writeable, f"a model of {learner!r} came back writable"


async def _keeps_what_comes_at_once(store: Storage, versions: int) -> None:
    learners = [f"at-once-{index:02}" for index in range(20)]
    everything: list[Model] = [_sent(learner, 0) for learner in learners]
    await asyncio.gather(*map(store.put, everything), *(store.get(versions - 1) for _ in learners))
    found = [one.learner async for one in store.select(learners, 1)]
    assert found == learners, f"of models that were put at once, only those of {found} are kept"
    await store.erase(learners)


async def _keeps_what_a_rule_keeps(store: Storage, version: Version) -> None:
    assert await store.rule_states(version) == [], "a rule that kept nothing has a state"
    before = await store.statistics()
    for learner in (None, "a", "b"):
        await store.put(_state(learner, version))
    for learner in (None, "b"):
        await store.put(_state(learner, version + 1))
    after = await store.statistics()
    assert after.learner_models == before.learner_models, "what a rule keeps is counted as models of learners"
    found = {state.learner: state for state in await store.rule_states(version)}
    assert {learner: state.version for learner, state in found.items()} == {None: version, "a": version, "b": version}, (
        "rule_states gives something that was kept with a version that never came to be"
    )
    for learner, state in found.items():
        assert state.buffer.tobytes() == _state(learner, version).buffer.tobytes(), (
            f"what a rule keeps of {learner!r} has changed"
        )
        assert not state.buffer.flags.writeable, f"what a rule keeps of {learner!r} came back writable"
    await store.erase([rule_owner(learner) for learner in found])
    assert await store.rule_states(version) == [], "what a rule kept is still there although it was erased"


def _state(learner: LearnerId | None, version: Version) -> RuleState:
    return RuleState(learner, version, LAYOUT, _model(version + 7 * len(learner or "")).buffer)


async def _keeps_facts(store: Storage, version: Version) -> None:
    await store.describe(version, {"round": 7, "contributors": {"a": 0.25}})
    await store.describe(version, {"metrics": {"loss": 0.5}})
    facts = {entry.number: entry.facts for entry in await store.lineage(None)}
    assert facts[version] == {"round": 7, "contributors": {"a": 0.25}, "metrics": {"loss": 0.5}}, f"{facts[version]}"
    await _says_missing(store.describe(version + 1, {"round": 8}), version + 1)


async def _told(store: Storage) -> object:
    statistics = await store.statistics()
    counted = (statistics.versions, statistics.learners, statistics.learner_models, statistics.nbytes)
    return counted, [await store.lineage(owner) for owner in (None, "a", "long-named learner, ü")]


async def _forgets(store: Storage) -> None:
    await store.expunge()
    statistics = await store.statistics()
    assert (statistics.versions, statistics.learners, statistics.nbytes) == (0, 0, 0), f"after expunge there is {statistics}"
    for put in (_model(3), _sent("a", 0), _sent("bb", 0)):
        await store.put(put)
    await store.erase(["a", "long-absent"])
    assert await store.lineage("a") == [], "an erased learner still has a lineage"
    assert [entry.number for entry in await store.lineage("bb")] == [0], "erasing one learner erased another"
    await _finds(store, 3)
    await store.put(_sent("a", 0))


async def _finds(store: Storage, version: Version) -> None:
    found, put = await store.get(version), _model(version)
    assert found.version == version, f"version {version} was asked for, {found.version} was given"
    assert found.layout == put.layout, f"version {version} came back with another layout"
    assert found.buffer.tobytes() == put.buffer.tobytes(), f"version {version} came back with other values"
    assert not found.buffer.flags.writeable, f"version {version} came back writable"


async def _is_consistent(store: Storage, versions: int, kept: int) -> None:
    listed = await store.versions()
    assert listed == list(range(versions))[-kept:], f"versions are listed as {listed}; the {kept} newest, ascending, are meant"
    for version in range(versions):
        if version in listed:
            await _finds(store, version)
        else:
            await _is_missing(store, version)


async def _is_missing(store: Storage, version: Version) -> None:
    await _says_missing(store.get(version), version)


async def _says_missing(asked: Awaitable[object], version: Version) -> None:
    try:
        await asked
    except NoSuchModel as error:
        said = str(error)
    else:
        raise AssertionError(f"version {version} is not there, but was found")
    assert str(version) in said, f"the error does not name version {version}: {said}"


async def _refuses_to_write_again(store: Storage, version: Version) -> None:
    try:
        await store.put(_model(version))
    except StoreError:
        await _finds(store, version)
    else:
        raise AssertionError(f"version {version} was written twice without an error; versions are written once")
