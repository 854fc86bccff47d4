"""A model in shards: the same bits as the whole."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors import plugins
from fedactors.aggregation import Contribution, Rule
from fedactors.aggregation.clipped import Clipped
from fedactors.aggregation.fedadam import FedAdam
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.fedavgm import FedAvgM
from fedactors.aggregation.frozen import Frozen
from fedactors.aggregation.median import Median
from fedactors.aggregation.server import ServerStep
from fedactors.aggregation.sharded import NOWHERE, InMemory, ShardFold, Source, Waiting, combined, cut, stretch
from fedactors.errors import ModelError
from fedactors.model import ALIGNMENT_BYTES, GlobalModel, Layout
from tests.aggregation.layouts import EVERY_DTYPE, contributions, drawn, layouts

GROUP = "fedactors.aggregation"
ELEMENTWISE = {
    name: rule for name in plugins.names(GROUP) if (rule := plugins.build(GROUP, name, {})).elementwise
} | {
    "fedadam over median": ServerStep(FedAdam(), Median()),
    "fedavgm of what is not frozen": Frozen(FedAvgM(), ("t0", "t3", "float32.*")),
}  # fmt: skip


def waiting(contribution):
    base = None if contribution.base is None else InMemory(contribution.base)
    return Waiting(replace(contribution, buffer=NOWHERE, base=None), InMemory(contribution.buffer), base)


def in_rounds(rule, layout, shards, rounds):
    """What each round makes of the version before, with the whole model and in shards."""
    rng = np.random.default_rng(1)
    whole, folds = rule.fold(layout), [ShardFold(rule, shard) for shard in cut(layout, shards)]
    current = GlobalModel(0, layout, drawn(layout, rng))
    for version in range(1, rounds + 1):
        updates = contributions(layout, rng, max(3, rule.updates_min), current.buffer)
        cut_up = combined(folds, [waiting(update) for update in updates], current)
        current = GlobalModel(version, layout, whole.commit_with(updates, current))
        yield current.buffer, cut_up


def test_rules_that_may_be_cut_into_shards_are_those_whose_parameters_do_not_know_each_other():
    assert set(ELEMENTWISE) & set(plugins.names(GROUP)) == {
        "fedadagrad", "fedadam", "fedasync", "fedavg", "fedavgm", "fedbuff", "fednova", "fedstride", "fedyogi", "median",
        "trimmed_mean",
    }  # fmt: skip
    assert not Clipped(FedAvg(), 1.0).elementwise


@given(
    name=st.sampled_from(sorted(ELEMENTWISE)),
    layout=layouts.filter(lambda layout: layout.nbytes > 0 and any(t.size for t in layout.tensors if t.name not in {"t0", "t3"})),
    shards=st.integers(1, 12),
)
@settings(max_examples=40)
def test_shards_give_the_bits_of_the_whole(name, layout, shards):
    for whole, cut_up in in_rounds(ELEMENTWISE[name], layout, shards, rounds=2):
        assert whole.tobytes() == cut_up.tobytes()


@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_shards_that_cut_tensors_give_the_bits_of_the_whole(name):
    for whole, cut_up in in_rounds(ELEMENTWISE[name], EVERY_DTYPE, 7, rounds=3):
        assert whole.tobytes() == cut_up.tobytes()


def test_shards_cover_the_model_without_a_gap():
    layout = Layout.from_specs([("a", "float32", (100,)), ("none", "int8", (0,)), ("b", "int8", (1,)), ("c", "float64", (9, 9))])
    for shards in (1, 2, 3, 5, 100):
        found = cut(layout, shards)
        assert [shard.start for shard in found] == [0, *(shard.stop for shard in found[:-1])]
        assert found[-1].stop == layout.nbytes
        assert len(found) == min(shards, layout.nbytes // ALIGNMENT_BYTES)
        assert all(shard.layout.nbytes == shard.nbytes for shard in found)
        assert max(shard.nbytes for shard in found) <= min(shard.nbytes for shard in found) + ALIGNMENT_BYTES
        assert sum(shard.layout.num_parameters for shard in found) == layout.num_parameters


def test_a_shard_names_the_tensors_that_lie_in_it():
    layout = Layout.from_specs([("a", "float32", (4, 10)), ("b", "bfloat16", ())])
    assert stretch(layout, 128, 256).specs == [("a", "float32", (8,)), ("b", "bfloat16", (1,))]


@pytest.mark.parametrize("rule", [FedAdam(), ServerStep(FedAvgM(), Median())], ids=["fedadam", "fedavgm over median"])
def test_shards_go_on_from_their_state(rule):
    rng = np.random.default_rng(2)
    current = GlobalModel(0, EVERY_DTYPE, drawn(EVERY_DTYPE, rng))
    updates = [waiting(one) for one in contributions(EVERY_DTYPE, rng, 3, current.buffer)]
    folds = [ShardFold(rule, shard) for shard in cut(EVERY_DTYPE, 3)]
    combined(folds, updates, current)
    again = [ShardFold(rule, fold.shard, fold.state()) for fold in folds]
    assert combined(again, updates, current).tobytes() == combined(folds, updates, current).tobytes()


def test_a_state_of_another_number_of_shards_is_refused():
    current = GlobalModel(0, EVERY_DTYPE, drawn(EVERY_DTYPE, np.random.default_rng(2)))
    updates = [waiting(one) for one in contributions(EVERY_DTYPE, np.random.default_rng(3), 3, current.buffer)]
    folds = [ShardFold(FedAdam(), shard) for shard in cut(EVERY_DTYPE, 3)]
    combined(folds, updates, current)
    again = [ShardFold(FedAdam(), shard, folds[0].state()) for shard in cut(EVERY_DTYPE, 2)]
    with pytest.raises(ModelError, match="what was kept has"):
        combined(again, updates, current)


def test_a_round_that_cannot_be_combined_leaves_no_trace():
    current = GlobalModel(0, EVERY_DTYPE, drawn(EVERY_DTYPE, np.random.default_rng(2)))
    updates = [waiting(one) for one in contributions(EVERY_DTYPE, np.random.default_rng(3), 3, current.buffer)]
    nothing = [replace(one, contribution=replace(one.contribution, factor=0.0)) for one in updates]
    disturbed, other = ([ShardFold(FedAdam(), shard) for shard in cut(EVERY_DTYPE, 4)] for _ in range(2))
    for fold in disturbed:
        with pytest.raises(ModelError, match="factors sum to zero"):
            fold.combine(nothing, current.buffer[fold.shard.start : fold.shard.stop], 0, np.empty(fold.shard.nbytes, np.uint8))
    assert combined(disturbed, updates, current).tobytes() == combined(other, updates, current).tobytes()


class Counted(Source):
    """Weights of which it is known where each stretch was read to."""

    def __init__(self, buffer, places):
        self.buffer = buffer
        self.places = places

    def read(self, start, out):
        self.places.append(out)
        out[:] = self.buffer[start : start + out.nbytes]


@pytest.mark.parametrize(("rule", "stretches"), [(FedAvg(), 1), (FedAdam(), 1), (Median(), 5)])
def test_a_rule_that_folds_has_one_update_at_a_time_in_memory(rule: Rule, stretches: int):
    rng, places = np.random.default_rng(4), []
    current = GlobalModel(0, EVERY_DTYPE, drawn(EVERY_DTYPE, rng))
    updates = [Waiting(Contribution(f"l{n}", NOWHERE, 1.0), Counted(drawn(EVERY_DTYPE, rng), places)) for n in range(5)]
    (first, *_) = cut(EVERY_DTYPE, 2)
    ShardFold(rule, first).combine(updates, current.buffer[: first.stop], 0, np.empty(first.nbytes, np.uint8))
    assert len(places) == 5
    assert len({id(place) for place in places}) == stretches
