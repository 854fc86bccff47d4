"""The file store: where models lie, what it refuses, and what it says of a directory that cannot be used."""

import errno
import os
import sqlite3

import numpy as np
import pytest

from fedactors import model_file
from fedactors.errors import ConfigError, StoreError
from fedactors.model import GlobalModel, Layout
from fedactors.storage import Home, LearnerModel
from fedactors.storage.file import FileStorage
from fedactors.storage.slots import COPIED_BYTES_MAX, FREE_SLOTS_MAX
from fedactors.testing import check_large_model, check_many_learners, check_store

SMALL = Layout.from_specs([("w", "float32", (16,))])
LARGE = Layout.from_specs([("w", "uint8", (COPIED_BYTES_MAX + 1,))])


def model(version, layout=SMALL):
    return GlobalModel(version, layout, np.full(layout.nbytes, version, np.uint8))


@pytest.fixture
def place(tmp_path):
    return tmp_path / "models"


@pytest.fixture
async def opened(place):
    """Opens stores of that directory, and closes them."""
    stores = []

    async def make(**options):
        stores.append(FileStorage(**{"place": str(place), **options}))
        await stores[-1].open()
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


async def said_on_opening(place, **options):
    with pytest.raises(StoreError) as caught:
        await FileStorage(place=str(place), **options).open()
    assert str(place) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("lineage_length", [0, 3])
async def test_files_conform(place, lineage_length, durability):
    def make():
        return FileStorage(lineage_length=lineage_length, place=str(place), durability=durability)

    await check_store(make, lineage_length=lineage_length, survives_reopening=True)


async def test_files_conform_without_a_thread(place):
    await check_store(lambda: FileStorage(place=str(place)), survives_reopening=True, home=Home(threaded=False))


async def test_a_model_of_several_megabytes_comes_back(place):
    await check_large_model(lambda: FileStorage(place=str(place)), 9_000_001)


async def test_a_relative_place_starts_at_the_configuration_s_directory(tmp_path):
    store = FileStorage(place="inner/models")
    await store.open(Home(base_dir=tmp_path))
    await store.close()
    assert (tmp_path / "inner" / "models" / "index.sqlite").is_file()


def test_a_place_is_needed():
    with pytest.raises(ConfigError, match="model store 'file' has no place"):
        FileStorage()


async def test_a_version_is_exported_by_one_call(opened, tmp_path):
    store = await opened()
    await store.put(model(0))
    model_file.save(await store.get(0), tmp_path / "model.safetensors")
    assert np.array_equal(model_file.load(tmp_path / "model.safetensors")["w"], (await store.get(0)).weights["w"])


# --------------------------------------------------------------------------------------------------------------------- slots


def slots(place):
    return {path.name: path.stat().st_ino for path in (place / "slots").iterdir()}


async def test_the_files_of_evicted_versions_are_used_again(opened, place):
    store = await opened(lineage_length=2)
    for version in range(3):
        await store.put(model(version, LARGE))
    before = slots(place)
    for version in range(3, 9):
        await store.put(model(version, LARGE))
    assert slots(place) == before


@pytest.mark.parametrize("layout", [SMALL, LARGE], ids=["copied", "mapped"])
async def test_a_model_that_is_looked_at_stays_as_it_is_when_it_is_evicted(opened, layout):
    store = await opened(lineage_length=1)
    await store.put(model(0, layout))
    tensor = (await store.get(0)).weights["w"][3:9]
    for version in range(1, 5):
        await store.put(model(version, layout))
    assert (tensor.view(np.uint8) == 0).all()


async def test_few_free_files_are_kept_where_sizes_differ(opened, place):
    store = await opened(lineage_length=1)
    for version in range(20):
        await store.put(model(version, Layout.from_specs([("w", "uint8", (1 + 64 * version,))])))
    assert len(slots(place)) == 1 + FREE_SLOTS_MAX


async def test_what_was_erased_leaves_no_bytes(opened, place):
    store = await opened()
    secret = np.resize(np.frombuffer(b"what only learner a knows", np.uint8), SMALL.nbytes)
    await store.put(LearnerModel("a", 0, 0, SMALL, secret.copy()))
    await store.put(model(0))
    await store.erase(["a"])
    assert not any(b"only learner a" in path.read_bytes() for path in (place / "slots").iterdir())
    assert len(slots(place)) == 1


async def test_what_a_torn_put_left_goes_when_the_directory_is_opened(opened, place):
    store = await opened()
    await store.put(model(0))
    await store.close()
    (place / "slots" / "00000007.slot").write_bytes(b"half a mod")
    (place / "slots" / "notes.txt").write_text("somebody's")
    store = await opened()
    assert sorted(slots(place)) == ["00000000.slot", "notes.txt"]
    await store.put(model(1))
    assert (await store.get(1)).buffer[0] == 1


async def test_ten_thousand_learners_have_lineages(place):
    in_place = Home(threaded=False)  # half the time
    await check_many_learners(lambda: FileStorage(place=str(place)), survives_reopening=True, home=in_place)


# -------------------------------------------------------------------------------------------------- directories not to be used


async def test_a_directory_that_is_in_use_is_refused(opened, place):
    store = await opened()
    assert "is in use by another controller; stop that one, or name another directory" in await said_on_opening(place)
    await store.close()
    await opened()


async def test_a_directory_of_something_else_is_refused_and_left_alone(place):
    place.mkdir()
    (place / "thesis.tex").write_text("years of work")
    assert "is no model store: it holds 'thesis.tex' but no index.sqlite" in await said_on_opening(place)
    assert [path.name for path in place.iterdir()] == ["thesis.tex"]


async def test_somebody_else_s_database_is_refused_and_left_alone(place):
    place.mkdir()
    with sqlite3.connect(place / "index.sqlite") as database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()
    before = (place / "index.sqlite").read_bytes()
    assert "is somebody else's database" in await said_on_opening(place)
    assert (place / "index.sqlite").read_bytes() == before


async def test_a_store_of_another_format_is_refused(opened, place):
    await (await opened()).close()
    with sqlite3.connect(place / "index.sqlite") as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    assert "is a store of format 2, not a store of format 1" in await said_on_opening(place)


async def test_a_damaged_index_is_refused(opened, place):
    await (await opened()).close()
    (place / "index.sqlite").write_bytes(b"not a database at all" * 500)
    assert "is damaged, or no store's index" in await said_on_opening(place)


async def test_an_index_with_nonsense_in_it_is_refused(opened, place):
    store = await opened()
    await store.put(model(0))
    await store.close()
    with sqlite3.connect(place / "index.sqlite") as database:
        database.execute('UPDATE layouts SET specs = \'[["w", "complex", [1]]]\'')
    database.close()
    assert "is damaged: tensor 'w' has dtype 'complex'" in await said_on_opening(place)


async def test_a_making_that_was_killed_is_made_again(opened, place):
    place.mkdir()
    (place / "index.sqlite").write_bytes(b"")
    assert await (await opened()).versions() == []


async def test_a_place_that_is_a_file_or_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be used: File exists" in await said_on_opening(tmp_path / "file")
    assert "cannot be used: Not a directory" in await said_on_opening(tmp_path / "file" / "models")
    assert "see that it is a directory that can be written to" in await said_on_opening("/proc/models")


@pytest.mark.parametrize("layout", [SMALL, LARGE], ids=["copied", "mapped"])
async def test_a_model_whose_bytes_changed_is_found_damaged_and_the_others_are_not(opened, place, layout):
    store = await opened()
    for version in range(2):
        await store.put(model(version, layout))
    await store.close()
    with (place / "slots" / "00000000.slot").open("r+b") as file:
        file.write(b"x")
    store = await opened()
    with pytest.raises(StoreError, match=r"version 0 is damaged: .*00000000\.slot is not what was put; restore"):
        await store.get(0)
    assert (await store.get(1)).buffer[0] == 1


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: os.truncate(path, 10)], ids=["removed", "cut"])
async def test_a_slot_that_was_removed_or_cut_is_found(opened, place, harm):
    store = await opened()
    await store.put(model(0))
    harm(place / "slots" / "00000000.slot")
    with pytest.raises(StoreError, match="version 0 is damaged"):
        await store.get(0)


# ------------------------------------------------------------------------------------------------------------ a disk that is full


async def test_a_full_disk_is_said_and_nothing_is_lost(opened, place, monkeypatch):
    store = await opened()
    await store.put(model(0, LARGE))
    write = os.pwrite

    def full(file, data, offset):
        written = write(file, data[:1000], offset)
        if offset:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StoreError, match=r"models cannot be written to: No space left on device; make room, or set lineage"):
            await store.put(model(1, LARGE))
    assert list(slots(place)) == ["00000000.slot"]
    assert await store.versions() == [0]
    await store.put(model(1, LARGE))
    assert (await store.get(1)).buffer[-1] == 1


async def test_an_index_that_cannot_grow_is_said_and_nothing_is_lost(place):
    store = FileStorage(place=str(place))
    await store.open(Home(threaded=False))
    await store.put(model(0))
    execute = store._desk.library.shelf._index._database.execute
    execute(f"PRAGMA max_page_count = {execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(StoreError, match=r"index\.sqlite cannot be written: the disk is full; make room, or set lineage_length"):
        await store.describe(0, {"long": "x" * 100_000})
    execute("PRAGMA max_page_count = 1000000")
    assert (await store.lineage(None))[0].facts == {}
    await store.put(model(1))
    assert (await store.get(0)).buffer[0] == 0
    await store.close()
