"""Whole federations whose updates travel packed: what comes of them, who takes part, and what is refused."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors import config as configuration
from fedactors.compression.top_k import TopK
from fedactors.errors import ConfigError
from fedactors.form import FormSpec
from fedactors.learner import LearnerClient
from fedactors.model import Layout
from fedactors.protocol import Hello, Task, fetch, join
from fedactors.protocol.transfers import push
from fedactors.protocol.weight_streams import WeightStreams
from fedactors.simulation import simulate
from fedactors.simulation.population import Population
from fedactors.task import TrainReport
from fedactors.testing import ScriptedLearner
from fedactors.transport import Address
from fedactors.transport.memory import MemoryTransport
from tests.actors.test_rules_at_work import trained
from tests.actors.test_sessions import heard

ASYNCHRONOUS = {"aggregation": {"rule": "fedasync"}, "protocol": {"name": "asynchronous"}, "stop": {"rounds": 12}}
BUFFERED = {"protocol": {"name": "buffered", "options": {"updates": 2}}, "stop": {"rounds": 6}}
COMPOSED: list[tuple[str, dict[str, Any], float]] = [
    ("int8", {"aggregation": {"rule": "fedavg", "deterministic": False}}, 4.0),
    ("top_k", {"aggregation": {"rule": "fedavgm", "options": {"momentum": 0.5}}}, 5.0),
    ("int8", {"aggregation": {"rule": "fedavgm", "options": {"momentum": 0.0}, "combine": "median"}}, 4.0),
    ("top_k", {"aggregation": {"rule": "geometric_median"}}, 4.0),
    ("int8", {"aggregation": {"rule": "fedavg", "clip_norm": 4.0}}, 2.0),
    ("top_k", {"aggregation": {"rule": "fedrec"}}, 4.0),
    ("int8", {"aggregation": {"rule": "fednova"}}, 4.0),
    ("top_k", {"protocol": {"name": "semi_synchronous"}, "train": {"steps": 2}}, 4.0),
]
"""Where three learners add 1, 2 and 3 to every weight in each of two rounds."""


@pytest.mark.parametrize(("form", "tables", "expected"), COMPOSED, ids=str)
async def test_every_composition_comes_to_what_it_is_without(form, tables, expected):
    options = {"fraction": 1.0} if form == "top_k" else {}
    found = await trained(compression={"updates": form, "options": options}, **tables)
    assert found == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("form", ["int8", "top_k"])
@pytest.mark.parametrize("tables", [ASYNCHRONOUS, BUFFERED], ids=str)
async def test_updates_from_older_versions_are_unpacked_with_those(form, tables):
    assert await trained(compression={"updates": form, "options": {"fraction": 1.0} if form == "top_k" else {}}, **tables) > 1.0


async def test_the_same_seed_gives_the_same_bits_again():
    runs = [await ran("int8") for _ in range(2)]
    assert runs[0][1].tobytes() == runs[1][1].tobytes()


class Shifting:
    """Moves every weight by its own amount."""

    num_train_examples = 10

    def __init__(self, context):
        self.index = context.index

    def get_weights(self):
        return {"w": np.zeros((100, 100), np.float32), "steps": np.zeros(3, np.int64)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        step = np.random.default_rng(self.index).standard_normal((100, 100)).astype(np.float32)
        return {"w": weights["w"] + step, "steps": weights["steps"] + self.index}, {}

    def evaluate(self, weights, params):
        return {"mean": weights["w"].mean(), "num_examples": 1}


async def ran(form: str | None = None, options: Any = None, rounds: int = 3):
    """The results and the final weights of a run, with bytes."""
    tables = {} if form is None else {"compression": {"updates": form, "options": options or {}}}
    config = {"name": "packed", "seed": 3, "learners": {"count": 3}, "stop": {"rounds": rounds}, **tables}
    async with asyncio.timeout(60), Federation(config) as federation:
        for _ in range(3):
            federation.add_learner(Shifting)
        results = await federation.run()
        model = await federation.model()
        assert model.weights["steps"].tolist() == [rounds] * 3, "integers travel as they are"
        return results, model.weights["w"].copy()


@pytest.mark.parametrize(
    ("form", "options", "share"),
    [(None, {}, 1.0), ("bf16", {}, 0.5), ("int8", {}, 0.254), ("top_k", {"fraction": 0.05}, 0.1)],
)
async def test_the_bytes_of_each_learner_are_told_as_they_travelled(form, options, share):
    results, _ = await ran(form, options, rounds=2)
    for record in results.rounds:
        for part in record.learners.values():
            assert part.bytes_up == pytest.approx(40_000 * share, abs=400)
            assert part.bytes_down == pytest.approx(40_000, abs=400)
        assert record.totals.bytes_up == sum(part.bytes_up for part in record.learners.values())


# ------------------------------------------------------------------------------------------------------ who takes part

PLACE = "memory://packed"
WISHED = {"updates": "top_k", "options": {"fraction": 0.25}}
MODEL = {"w": np.zeros(400, np.float32)}


@asynccontextmanager
async def begun(**tables: Any):
    """A federation with one learner that works, and a channel for others."""
    config = {
        "name": "packed",
        "seed": 3,
        "learners": {"count": 2},
        "compression": WISHED,
        "stop": {"rounds": 1},
        **tables,
    }
    channel = MemoryTransport().connect(Address.parse(PLACE))
    async with asyncio.timeout(30), Federation(config, addresses=[PLACE]) as federation:
        federation.add_learner(ScriptedLearner(MODEL, train=lambda weights, _: ({"w": weights["w"] + 1}, {})), id="works")
        yield federation, channel
    await channel.close()


async def test_a_learner_that_does_not_know_the_form_takes_part_and_is_told_of_once(caplog):
    async with begun(stop={"rounds": 3}) as (federation, channel):
        older = ScriptedLearner(MODEL, train=lambda weights, _: ({"w": weights["w"] + 1}, {}))
        client = asyncio.create_task(LearnerClient(older, "older", channel).run())
        results = await federation.run()
        assert [sorted(record.learners) for record in results.rounds] == [["older", "works"]] * 3
        for record in results.rounds:
            assert record.learners["older"].bytes_up > record.learners["works"].bytes_up
        client.cancel()
        await asyncio.wait([client])
    told = [entry.msg for entry in caplog.records if isinstance(entry.msg, dict) and entry.msg["event"] == "form_not_known"]
    assert [(one["learner"], one["form"]) for one in told] == [("older", "top_k")]


async def answered(packed: Any, layout: Layout, **hello: Any):
    """What the controller answers to a learner, played by this test, that delivers this; it wishes for WISHED."""
    async with begun(protocol={"options": {"min_updates": 1, "round_timeout_s": 5}}) as (federation, channel):
        session, terms = await join(channel, Hello("stranger", **hello), timeout_s=5)
        await federation.admin.order("start")
        while (task := await heard(session, Task)).params is None:
            await session.send(task)
        streams = WeightStreams(channel)
        await fetch(streams, terms.token, task.version)
        answer = await push(streams, terms.token, task.id, layout, packed, TrainReport(10), layout_known=True)
        session.cut("seen enough")
        await session.close()
        streams.close()
        return terms.form, answer


GLOBAL = Layout.of(MODEL)


def packed_by(form: TopK, value: float = 1.0):
    base = np.zeros(GLOBAL.nbytes, np.uint8)
    return form.pack(GLOBAL.pack({"w": np.full(400, value, np.float32)}), base, GLOBAL, 7)


async def test_what_is_wished_for_is_said_with_all_options_to_those_who_know_it():
    form, answer = await answered(packed_by(TopK(0.25)), TopK(0.25).layout(GLOBAL), forms=("int8", "top_k"))
    assert form == FormSpec("top_k", asdict(TopK(0.25)))
    assert answer.accepted


async def test_any_update_may_travel_as_it_is():
    form, answer = await answered(GLOBAL.pack(MODEL), GLOBAL, forms=("int8",))
    assert (form, answer.accepted) == (FormSpec(), True)


async def test_an_update_in_another_form_is_refused():
    _, answer = await answered(packed_by(TopK(0.75)), TopK(0.75).layout(GLOBAL), forms=("top_k",))
    assert (answer.refusal, answer.why) == ("layout", "names, shapes or dtypes differ from the global model's, packed or not")


async def test_what_cannot_be_unpacked_is_refused_with_the_reason():
    packed = packed_by(TopK(0.25))
    TopK(0.25).layout(GLOBAL).views(packed)["float32 top k places"][-1] = 400
    _, answer = await answered(packed, TopK(0.25).layout(GLOBAL), forms=("top_k",))
    assert (answer.refusal, answer.why) == ("form", "place 400 of 400 float32 values does not exist")


async def test_what_unpacks_to_no_number_is_refused_with_its_tensor():
    _, answer = await answered(packed_by(TopK(0.25), np.nan), TopK(0.25).layout(GLOBAL), forms=("top_k",))
    assert (answer.refusal, answer.why) == ("not_finite", "tensor 'w' holds NaN or an infinity")


# -------------------------------------------------------------------------------------------------- configurations


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"compression": {"updates": "int9"}}, "no form of updates named 'int9'; did you mean 'int8'? (known: bf16, fp16,"),
        ({"compression": {"updates": "int8", "options": {"block": 3}}}, "block = 3 is no power of two"),
        ({"compression": {"updates": "bf16", "options": {"of": "weight"}}}, "of = \"weight\" must be 'difference' or 'weights'"),
        (
            {"compression": {"updates": "bf16"}, "aggregation": {"rule": "scaffold"}, "train": {"learning_rate": 0.1}},
            "scaffold needs learners' control variates to grow by what they send, and bf16 rounds that",
        ),
        (
            {"compression": {"updates": "top_k"}, "aggregation": {"rule": "median"}, "learners": {"count": 5}},
            "median looks at each coordinate by itself, and with top_k most learners leave most of them as they were",
        ),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(tables, said):
    with pytest.raises(ConfigError) as caught:
        configuration.from_mapping(tables)
    assert said in str(caught.value)


@pytest.mark.parametrize("form", ["int8", "top_k"])
def test_virtual_learners_pack_as_real_ones_do(form):
    config = configuration.from_mapping(
        {"seed": 3, "learners": {"count": 3}, "stop": {"rounds": 3}, "compression": {"updates": form}}
    )
    real, idle = simulate(config, Population(), entry=Shifting), simulate(config, Population(), parameters=10_000)
    for simulated in (real, idle):
        assert simulated.updates == 9
        assert all(record.totals.bytes_up < 0.3 * record.totals.bytes_down for record in simulated.results.rounds)
    assert real.results.rounds[-1].metrics["mean"] == pytest.approx(0, abs=0.1)
