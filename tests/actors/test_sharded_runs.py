"""Federations whose model is in shards: the same bits as one whose model is not, whatever happens on the way."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors.actors.spill import Spill, Spills
from fedactors.config import from_mapping, to_toml
from fedactors.driver.run_directory import RunDirectory
from fedactors.errors import ConfigError, StoreError
from fedactors.journal import FileJournal
from fedactors.journal.file import read
from fedactors.journal.records import Counted, Opened
from fedactors.learner import LearnerClient, LearnerContext
from fedactors.record import Results
from fedactors.testing import ScriptedLearner
from fedactors.transport import Address
from fedactors.transport.memory import MemoryTransport
from tests.actors.test_survival import fail_once

LEARNERS = 3


class Mixed:
    """Draws its updates from round and learner; tensors of several dtypes, of odd sizes."""

    num_train_examples = 10

    def __init__(self, context):
        self.index = context.index
        self.num_train_examples = 10 + context.index

    def get_weights(self):
        rng = np.random.default_rng(1)
        floats = {"a": rng.standard_normal((37, 5)).astype(np.float32), "half": rng.standard_normal(77).astype(np.float16)}
        return {**floats, "n": rng.integers(0, 50, (9, 7)), "wide": rng.standard_normal(301), "scalar": np.float32(1.5)[()][None]}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        rng = np.random.default_rng((self.index, params.round))
        moved = {name: (array + rng.standard_normal(array.shape) * 4).astype(array.dtype) for name, array in weights.items()}
        return moved, {"num_batches": 2 + self.index}

    def evaluate(self, weights, params):
        return {"mean": weights["a"].mean(), "num_examples": 1}


async def trained(shards: int, aggregation: dict[str, Any] | None = None, **tables: Any) -> tuple[Results, str]:
    """A whole federation in this process; its results, and what came of it."""
    table = {"name": "cut", "seed": 3, "learners": {"count": LEARNERS}, "stop": {"rounds": 3}, **tables}
    table["aggregation"] = {**(aggregation or {}), "shards": shards}
    async with asyncio.timeout(60), Federation(table) as federation:
        for _ in range(LEARNERS):
            federation.add_learner(Mixed)
        results = await federation.run()
        return results, (await federation.model()).sha256


@pytest.mark.parametrize(
    ("aggregation", "shards"),
    [
        ({"rule": "fedavg"}, [3, 1000]),
        ({"rule": "median"}, [4]),
        ({"rule": "fedadam", "combine": "fednova"}, [3]),
    ],
    ids=["fedavg", "median", "fedadam over fednova"],
)
async def test_a_model_in_shards_comes_to_the_same_bits(aggregation, shards):
    _, whole = await trained(1, aggregation)
    for number in shards:
        assert (await trained(number, aggregation))[1] == whole


async def test_what_is_frozen_stays_in_shards_too():
    _, whole = await trained(1, model={"frozen": ["a", "wide"]})
    assert (await trained(5, model={"frozen": ["a", "wide"]}))[1] == whole


@pytest.mark.parametrize("protocol", ["asynchronous", "buffered"])
async def test_a_protocol_without_rounds_in_step_goes_on_in_shards(protocol):
    options = {"updates": 2} if protocol == "buffered" else {}
    results, _ = await trained(4, protocol={"name": protocol, "options": options}, stop={"rounds": 8})
    assert [record.version for record in results.rounds] == list(range(1, 9))


FAILURES = [(Spill, "read", 11), (Spills, "give", 5)]


@pytest.mark.parametrize(("owner", "name", "at"), FAILURES, ids=lambda value: getattr(value, "__name__", str(value)))
async def test_a_round_that_dies_midway_leaves_no_trace(monkeypatch, owner, name, at):
    _, undisturbed = await trained(1, {"rule": "fedadam"})
    calls = fail_once(monkeypatch, owner, name, at)
    assert (await trained(3, {"rule": "fedadam"}))[1] == undisturbed
    assert calls["all"] > at, "the failure was not the last call"


# ------------------------------------------------------------------------------------------------------ updates that do not count


def spoilt(round_: int, spoil: Any) -> Any:
    """Adds one; in a round, something happens to the last tensor."""

    def training(weights: Any, call: int) -> Any:
        moved = {name: array + 1 for name, array in weights.items()}
        if call == round_:
            moved["last"] = spoil(moved["last"])
        return moved, {}

    return training


async def added(shards: int, *trainings: Any, **limits: Any) -> tuple[Results, np.ndarray]:
    weights = {"first": np.zeros(40, np.float32), "last": np.zeros(100, np.float32)}
    table = {"name": "spoilt", "seed": 3, "learners": {"count": len(trainings)}, "stop": {"rounds": 3}, "limits": limits}
    async with asyncio.timeout(60), Federation(table | {"aggregation": {"shards": shards}}) as federation:
        for training in trainings:
            federation.add_learner(ScriptedLearner(weights, train=training))
        results = await federation.run()
        return results, (await federation.model()).weights["last"]


async def test_nan_in_the_last_shard_refuses_the_whole_update():
    def with_nan(array: Any) -> Any:
        return np.where(np.arange(array.size) == array.size - 1, np.float32(np.nan), array)

    plain = spoilt(0, lambda array: array)
    results, last = await added(4, plain, spoilt(2, with_nan), plain)
    assert "tensor 'last' holds NaN" in results.rounds[1].learners["learner-1"].refused
    assert [sum(not part.refused for part in record.learners.values()) for record in results.rounds] == [3, 2, 3]
    np.testing.assert_array_equal(last, 3)


async def test_a_full_disk_refuses_the_update_that_it_has_no_room_for(monkeypatch):
    original, calls = Spill.write, []

    def full(self: Spill, start: int, data: Any) -> None:
        calls.append(start)
        if len(calls) == 9:
            raise OSError(28, "No space left on device")
        original(self, start, data)

    monkeypatch.setattr(Spill, "write", full)
    plain = spoilt(0, lambda array: array)
    results, last = await added(4, plain, plain, plain)
    refused = [part.refused for record in results.rounds for part in record.learners.values() if part.refused]
    assert len(refused) == 1
    assert "No space left on device; make room where the controller keeps updates" in refused[0]
    np.testing.assert_array_equal(last, 3)


async def test_a_directory_that_is_none_is_told_before_anything_runs(tmp_path):
    aggregation = {"shards": 2, "shards_dir": str(tmp_path / "gone")}
    with pytest.raises(ConfigError, match=r"gone, which is no directory: name one as aggregation\.shards_dir"):
        async with Federation({"aggregation": aggregation}):
            pass


async def test_nothing_is_left_in_the_directory(tmp_path):
    results, _ = await trained(2, {"shards_dir": str(tmp_path)})
    assert len(results.rounds) == 3
    assert not any(tmp_path.glob("*"))


# -------------------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"aggregation": {"rule": "krum", "options": {"byzantine": 1}}, "learners": {"count": 5}}, "krum looks at whole updates"),
        ({"aggregation": {"rule": "fedrec"}}, "fedrec looks at whole updates"),
        (
            {"aggregation": {"rule": "fedadam", "combine": "geometric_median"}, "learners": {"count": 5}},
            "geometric_median looks at whole updates",
        ),
        ({"aggregation": {"clip_norm": 2.0}}, "clip_norm = 2.0 is of a whole update"),
        ({"secure": {"method": "masking"}, "learners": {"count": 5}}, "masking opens or carries on the sum of whole updates"),
        ({"compression": {"updates": "int8"}}, "an update that travels as int8 is unpacked as a whole"),
    ],
    ids=["krum", "fedrec", "combine", "clip_norm", "masking", "int8"],
)
def test_what_looks_at_whole_updates_is_refused_with_shards(tables, said):
    table = {**tables, "aggregation": {**tables.get("aggregation", {}), "shards": 4}}
    with pytest.raises(ConfigError, match=said):
        from_mapping(table)


def test_windows_are_no_larger_than_a_shard(tmp_path):
    spills = Spills(tmp_path, shards=4, spills_max=1)
    assert spills.window_bytes(1024) == 256
    assert spills.window_bytes(1025) == 320
    assert spills.window_bytes(2**40) == 8 * 2**20


# ------------------------------------------------------------------------------------------------------------ another process


class Hesitant(Mixed):
    """As `Mixed`; in the second round, the last one trains until it is let go."""

    def __init__(self, context, let_go):
        super().__init__(context)
        self.let_go = let_go

    def train(self, weights, params):
        if self.index == LEARNERS - 1 and params.round == 2:
            self.let_go.wait(60)
        return super().train(weights, params)


async def test_updates_that_counted_before_a_crash_count_in_the_resumed_run(tmp_path):
    """The learners outlive their controller."""
    _, undisturbed = await trained(1, {"rule": "fedadam"})
    config = {"name": "cut", "seed": 3, "learners": {"count": LEARNERS}, "stop": {"rounds": 3}}
    config["aggregation"] = {"rule": "fedadam", "shards": 3, "shards_dir": str(tmp_path)}
    config["store"] = {"url": f"file://{tmp_path / 'store'}"}
    opened, place, crashed = Opened("cut", 3, {}), "memory://crash-of-shards", threading.Event()
    channel = MemoryTransport().connect(Address.parse(place))
    learners = [Hesitant(LearnerContext(f"learner-{index}", index, LEARNERS), crashed) for index in range(LEARNERS)]
    running = [asyncio.create_task(LearnerClient(one, f"learner-{one.index}", channel).run()) for one in learners]
    async with asyncio.timeout(60):
        with suppress(ConnectionAbortedError), closing(FileJournal(tmp_path / "journal", opened)) as journal:
            async with Federation(config, addresses=[place], journal=journal) as federation:
                await federation.admin.order("start")
                await until_counted(journal.path, 2, 2)
                raise ConnectionAbortedError  # the power fails
        crashed.set()
        with closing(FileJournal(tmp_path / "journal", opened, resume=True)) as journal:
            assert len(journal.story.counted) == 2
            async with Federation(config, addresses=[place], journal=journal) as federation:
                async for _ in federation.events():
                    pass
                assert (await federation.model()).sha256 == undisturbed
        await asyncio.gather(*running)
    await channel.close()


async def until_counted(journal: Path, round_: int, number: int) -> None:
    """So many updates of the round are kept: an update is accepted before."""
    while sum(isinstance(one, Counted) and one.round == round_ for one in read(journal).records) < number:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def test_a_run_goes_on_in_as_many_shards_as_it_had(tmp_path):
    config = from_mapping({"name": "cut", "seed": 3, "aggregation": {"shards": 3}})
    with closing(RunDirectory(tmp_path / "run")) as run:
        run.write_config(to_toml(config))
        run.open_journal(config).close()
    for shards in (1, 4):
        other = config.model_copy(update={"aggregation": config.aggregation.model_copy(update={"shards": shards})})
        said = r"begun with aggregation\.shards = 3; it cannot go on with"
        with closing(RunDirectory(tmp_path / "run", resume=True)) as run, pytest.raises(StoreError, match=said):
            run.open_journal(other)
