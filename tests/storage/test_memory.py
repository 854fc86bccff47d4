"""The in-memory model store."""

import numpy as np
import pytest

from fedactors.errors import ConfigError, NoSuchModel, StoreError
from fedactors.model import GlobalModel, Layout
from fedactors.storage.memory import MemoryStorage
from fedactors.testing.conformance_store import check_store

LAYOUT = Layout.from_specs([("w", "float32", (3,))])


def model(version):
    return GlobalModel(version, LAYOUT, LAYOUT.pack({"w": np.full(3, version, np.float32)}))


async def filled(storage, versions):
    await storage.open()
    for version in range(versions):
        await storage.put(model(version))
    return storage


@pytest.mark.parametrize("lineage_length", [0, 1, 4])
async def test_memory_conforms(lineage_length):
    await check_store(lambda: MemoryStorage(lineage_length))


async def test_newest_versions_are_kept():
    assert await (await filled(MemoryStorage(lineage_length=2), 5)).versions() == [3, 4]


async def test_nothing_is_evicted_where_the_length_is_zero():
    assert await (await filled(MemoryStorage(lineage_length=0), 9)).versions() == list(range(9))


async def test_models_are_kept_without_a_copy():
    storage, kept = MemoryStorage(), model(0)
    await storage.put(kept)
    assert await storage.get(0) is kept


async def test_missing_version_is_named_with_those_that_there_are():
    storage = await filled(MemoryStorage(lineage_length=2), 5)
    with pytest.raises(NoSuchModel, match=r"no model of version 1 in memory; kept are versions 3, 4 \(lineage_length=2\)"):
        await storage.get(1)


async def test_missing_version_of_an_empty_store_says_that_it_is_empty():
    with pytest.raises(NoSuchModel, match="no model of version 0 in memory; nothing is kept yet"):
        await MemoryStorage().get(0)


async def test_version_is_written_once():
    storage = await filled(MemoryStorage(), 2)
    with pytest.raises(StoreError, match="version 1 cannot be kept: version 1 is"):
        await storage.put(model(1))


async def test_two_stores_share_nothing():
    await filled(MemoryStorage(), 2)
    assert await MemoryStorage().versions() == []


def test_negative_length_is_refused():
    with pytest.raises(ConfigError, match="lineage_length=-1"):
        MemoryStorage(lineage_length=-1)


async def test_conformance_finds_a_store_that_forgets():
    class Forgetful(MemoryStorage):
        async def get(self, version):
            raise NoSuchModel(f"no version {version}")

    with pytest.raises(NoSuchModel):
        await check_store(Forgetful)
