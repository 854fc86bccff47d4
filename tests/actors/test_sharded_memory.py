"""How much memory a round takes whose model is in shards: counted by the byte, of the aggregator and the model store alone."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fedactors.actors.aggregator import AggregationPlan
from fedactors.actors.compute import Compute, Threads
from fedactors.actors.messages import BorrowBuffer, Combined, CombineRound, FoldUpdate, Initialise, Initialised, Offer
from fedactors.actors.model_store import ModelStore
from fedactors.actors.sharded_aggregator import ShardedAggregator
from fedactors.actors.spill import Spill
from fedactors.aggregation import Ordered, Rule, Weighting
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.median import Median
from fedactors.journal import NoJournal
from fedactors.model import Layout
from fedactors.runtime import ActorSystem
from fedactors.storage.file import FileStorage
from fedactors.task import TrainReport
from fedactors.testing import Probe

LAYOUT = Layout.from_specs([(f"layer-{n}", "float32", (500_003,)) for n in range(8)])
SHARDS, LEARNERS, THREADS = 16, 8, 2
SMALL_BYTES = 12 * 1024**2
"""Temporaries of kernels, a block for each row and lane, whatever the model; and everything that is no array."""


async def upload(aggregator, learner: str, round_: int, seed: int) -> None:
    """As an intake does: into a spill, window by window."""
    loan = await aggregator.ask(BorrowBuffer(LAYOUT.nbytes, learner))
    assert isinstance(loan.buffer, Spill)
    window = np.random.default_rng(seed).random(loan.buffer.window_bytes // 4, np.float32).view(np.uint8)
    for start in range(0, LAYOUT.nbytes, window.nbytes):
        loan.buffer.write(start, window[: LAYOUT.nbytes - start])
    task = f"{learner}-{round_}"
    aggregator.tell(Offer(task, learner, TrainReport(seed + 1), loan.buffer))
    aggregator.tell(FoldUpdate(task, 0, round_, None))


@pytest.mark.parametrize(("rule", "stretches"), [(FedAvg(), 1), (Median(), LEARNERS)], ids=["fedavg", "median"])
async def test_a_round_holds_two_models_and_the_shards_in_flight(tmp_path: Path, rule: Rule, stretches: int):
    storage = FileStorage(place=str(tmp_path / "store"), lineage_length=2)
    await storage.open()
    plan = AggregationPlan(Ordered(rule), Weighting.EXAMPLES, shards=SHARDS, shards_dir=tmp_path)
    with ThreadPoolExecutor(THREADS) as executor:
        compute = Compute(Threads(executor, THREADS))
        async with ActorSystem(name="memory") as system:
            probe = Probe(system)
            store = system.spawn(lambda: ModelStore(storage, 2**20, is_lean=True))
            aggregator = system.spawn(lambda: ShardedAggregator(plan, store, probe.ref, compute, NoJournal()))
            await aggregator.ask(Initialise("a", LAYOUT, np.zeros(LAYOUT.nbytes, np.uint8)))
            await probe.expect(Initialised)
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                for round_ in (1, 2):
                    for index in range(LEARNERS):
                        await upload(aggregator, f"l{index}", round_, index)
                    aggregator.tell(CombineRound(round_, probe.ref))
                    await probe.expect(Combined, timeout_s=30)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    await storage.close()
    in_flight = THREADS * (stretches + 2) * LAYOUT.nbytes / SHARDS  # the updates' stretches, the sum, the result
    assert peak - before <= 2 * LAYOUT.nbytes + in_flight + SMALL_BYTES
    assert peak - before >= 2 * LAYOUT.nbytes, "versions are counted"
