"""What every model store owes its federation, checked on a store of yours.

async def test_my_store_conforms(tmp_path):
    await check_store(lambda: MyStore(place=str(tmp_path)))
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fedactors.errors import NoSuchModel, StoreError
from fedactors.model import GlobalModel, Layout, Version
from fedactors.storage.base import Storage

LAYOUT = Layout.from_specs(
    [("kernel", "float32", (3, 5)), ("steps", "int64", ()), ("half", "bfloat16", (7,)), ("empty", "bool", (0,))]
)


async def check_store(make: Callable[[], Storage], *, versions: int = 12, survives_reopening: bool = False) -> None:
    """Put, get and list versions, and ask for what is not there.

    Args:
        make: a store on a place that is empty the first time; called again for the same place if `survives_reopening`.
        versions: how many to put; more than it keeps, so that eviction is seen.
        survives_reopening: models outlive `close`; what is checked then is that another store finds them.

    Raises:
        AssertionError: it does not do what a store owes; the message says what.
    """
    store = make()
    await store.open()
    assert await store.versions() == [], "the store is not empty at the beginning"
    await _is_missing(store, 0)
    for version in range(versions):
        await store.put(_model(version))
        await _finds(store, version)
        await _is_consistent(store, newest=version)
    await _is_missing(store, versions)
    await _refuses_to_write_again(store, versions - 1)
    kept = await store.versions()
    await store.close()
    await store.close()
    if survives_reopening:
        store = make()
        await store.open()
        assert await store.versions() == kept, "another store on the same place finds other versions"
        await _is_consistent(store, newest=versions - 1)
        await store.close()


def _model(version: Version) -> GlobalModel:
    rng = np.random.default_rng(version)
    buffer = np.zeros(LAYOUT.nbytes, np.uint8)
    for view in LAYOUT.views(buffer).values():
        view[...] = rng.integers(0, 100, view.shape)
    return GlobalModel(version, LAYOUT, buffer)


async def _finds(store: Storage, version: Version) -> None:
    found, put = await store.get(version), _model(version)
    assert found.version == version, f"version {version} was asked for, {found.version} was given"
    assert found.layout == put.layout, f"version {version} came back with another layout"
    assert found.buffer.tobytes() == put.buffer.tobytes(), f"version {version} came back with other values"
    assert not found.buffer.flags.writeable, f"version {version} came back writable"


async def _is_consistent(store: Storage, newest: Version) -> None:
    listed = await store.versions()
    assert listed == sorted(set(listed)), f"versions are listed as {listed}; ascending, each once, is meant"
    assert newest in listed, f"the newest version, {newest}, is not listed: {listed}"
    for version in range(newest + 1):
        if version in listed:
            await _finds(store, version)
        else:
            await _is_missing(store, version)


async def _is_missing(store: Storage, version: Version) -> None:
    try:
        await store.get(version)
    except NoSuchModel as error:
        said = str(error)
    else:
        raise AssertionError(f"version {version} is not listed, but was found")
    assert str(version) in said, f"the error does not name version {version}: {said}"


async def _refuses_to_write_again(store: Storage, version: Version) -> None:
    try:
        await store.put(_model(version))
    except StoreError:
        await _finds(store, version)
    else:
        raise AssertionError(f"version {version} was written twice without an error; versions are written once")
