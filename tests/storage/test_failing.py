"""A whole federation at a store that fails once, at each operation in turn: it comes to the same end, or says why it does not."""

import asyncio
from itertools import count

import numpy as np
import pytest

from fedactors import Federation
from fedactors.errors import FederationFailed, NoSuchModel, StoreError
from fedactors.storage.file import FileStorage
from fedactors.storage.memory import MemoryStorage
from fedactors.testing import FailingStorage, check_store

ROUNDS = 2
CONFIG = {"name": "steady", "seed": 3, "learners": {"count": 2}, "stop": {"rounds": ROUNDS}}


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


async def run(monkeypatch, store):
    """The weights in the end, and how many rounds were recorded."""
    monkeypatch.setattr("fedactors.config.planning.build_storage", lambda config: store)
    async with asyncio.timeout(60), Federation(CONFIG) as federation:
        for _ in range(2):
            federation.add_learner(Steady)
        results = await federation.run()
        return (await federation.model()).weights["w"][0, 0], len(results.rounds)


async def end(monkeypatch, store):
    """The weights in the end and the rounds that were recorded; or, where it did not come to its end, what was said."""
    try:
        return await run(monkeypatch, store)
    except (StoreError, FederationFailed) as error:
        return str(error)


async def test_a_federation_comes_to_the_same_end_whichever_operation_fails(monkeypatch, tmp_path):
    ends = []
    for operation in count(1):
        store = FailingStorage(FileStorage(place=str(tmp_path / str(operation))), operation)
        ends.append(await end(monkeypatch, store))
        if store.operations < operation:
            break
    assert ends[0] == "operation 1, open, fails, for that is what this store is for"
    assert ends[1] == "operation 2, versions, fails, for that is what this store is for"
    assert set(ends[2:]) == {(1.5 * ROUNDS, ROUNDS)}
    assert len(ends) > 2 + 1 + ROUNDS  # each version was put, the initial one too


async def test_a_version_that_cannot_be_read_is_told_to_whoever_asked_and_the_others_go_on(monkeypatch, tmp_path):
    store = FileStorage(place=str(tmp_path / "models"))
    monkeypatch.setattr("fedactors.config.planning.build_storage", lambda config: store)
    async with asyncio.timeout(60), Federation(CONFIG) as federation:
        for _ in range(2):
            federation.add_learner(Steady)
        await federation.run()
        (tmp_path / "models" / "slots" / "00000000.slot").unlink()
        with pytest.raises(NoSuchModel, match="version 0 is damaged"):
            await federation.model(0)
        assert (await federation.model(2)).weights["w"][0, 0] == 3.0


async def test_a_store_of_a_former_run_is_not_written_to(tmp_path):
    config = {**CONFIG, "store": {"url": f"file://{tmp_path}/models"}, "stop": {"rounds": 1}}
    async with asyncio.timeout(60), Federation(config) as federation:
        for _ in range(2):
            federation.add_learner(Steady)
        await federation.run()
    with pytest.raises(StoreError, match=r"the model store file://.*models holds versions 0 to 1 of a former run; name an empty"):
        async with Federation(config):
            pass
    store = FileStorage(place=f"{tmp_path}/models")
    await store.open()
    assert await store.versions() == [0, 1]
    await store.close()


async def test_a_store_that_does_not_come_to_its_failure_conforms():
    await check_store(lambda: FailingStorage(MemoryStorage(0), 10_000))
