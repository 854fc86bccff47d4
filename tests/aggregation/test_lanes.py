"""Arithmetic that is shared out: the same bits, whoever works on it and in whatever order."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fedactors import plugins
from fedactors.actors.compute import Threads
from fedactors.aggregation import Contribution, Ordered
from fedactors.aggregation._kernels import BLOCK, blocks
from fedactors.aggregation._weighted import FAN, Scale, Term, WeightedMean
from fedactors.aggregation.clipped import Clipped
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.fedstride import FedStride
from fedactors.aggregation.lanes import IN_PLACE, SHARED_MIN, Lanes, share_out, working_in
from fedactors.model import GlobalModel, Layout
from fedactors.task import TrainReport

GROUP = "fedactors.aggregation"
SHARED = Layout.from_specs(
    [("w", "float32", (SHARED_MIN,)), ("h", "bfloat16", (3 * BLOCK,)), ("n", "int32", (7,)), ("d", "float64", (BLOCK + 1,))]
)


class Backwards(Lanes):
    """Works on the last item first; counts what it was given."""

    def __init__(self):
        self.items = 0

    def each(self, work, items):
        self.items += len(items)
        for item in reversed(items):
            work(item)


def updates(layout, number, equal_factors=False):
    rng = np.random.default_rng(number)
    base = buffer(layout, rng)
    factors = np.full(number, 7.0) if equal_factors else rng.integers(1, 1000, number).astype(float)
    return [
        Contribution(f"l{index:02}", buffer(layout, rng), factor, report=TrainReport(1, num_batches=2), base=base)
        for index, factor in enumerate(factors)
    ]


def buffer(layout, rng):
    """Small values of every dtype: fast to draw."""
    raw = np.zeros(layout.nbytes, np.uint8)
    for view in layout.views(raw).values():
        view[...] = rng.integers(-100, 100, view.size, np.int8).reshape(view.shape)
        if view.dtype.kind != "i":
            view /= view.dtype.type(64)
    return raw


@pytest.mark.parametrize("name", ["clipped", "ordered", *plugins.names(GROUP)])
def test_a_rule_gives_the_same_bits_on_any_lanes(name):
    others = {"clipped": Clipped(FedAvg(), bound=100.0), "ordered": Ordered(FedAvg())}
    rule, lanes = others.get(name) or plugins.build(GROUP, name, {}), Backwards()
    sent = updates(SHARED, max(7, rule.updates_min))
    expected = combined(rule, sent)
    with working_in(lanes):
        assert combined(rule, sent) == expected
    assert lanes.items > 1


def combined(rule, sent):
    """Two rounds: what is kept from one to the next counts."""
    fold, current = rule.fold(SHARED), GlobalModel(0, SHARED, sent[0].base)
    for version in (1, 2):
        for contribution in sent:
            fold.add(contribution)
        current = GlobalModel(version, SHARED, fold.commit(current))
    return current.buffer.tobytes()


def test_threads_give_the_same_bits():
    sent = updates(SHARED, 7)
    expected = combined(FedAvg(), sent)
    with ThreadPoolExecutor(3) as executor, working_in(Threads(executor, 4)):
        assert [combined(FedAvg(), sent) for _ in range(5)] == [expected] * 5


def test_few_elements_are_worked_on_in_place():
    lanes, done = Backwards(), []
    with working_in(lanes):
        share_out(done.append, [1, 2, 3], SHARED_MIN - 1)
        share_out(done.append, [4], SHARED_MIN)
        assert (done, lanes.items) == ([1, 2, 3, 4], 0)
        share_out(done.append, [1, 2, 3], SHARED_MIN)
    assert (done[4:], lanes.items) == ([3, 2, 1], 3)


def test_lanes_are_at_hand_only_inside():
    lanes, done = Backwards(), []
    with working_in(lanes), working_in(IN_PLACE):
        share_out(done.append, [1, 2], SHARED_MIN)
    share_out(done.append, [3, 4], SHARED_MIN)
    assert (done, lanes.items) == ([1, 2, 3, 4], 0)


@pytest.mark.parametrize("equal_factors", [False, True])
@pytest.mark.parametrize("number", [1, 2, FAN - 1, FAN, FAN + 1, 3 * FAN])
def test_updates_at_once_give_the_bits_of_one_after_the_other(number, equal_factors):
    layout = Layout.from_specs([("w", "float32", (BLOCK + 3,)), ("h", "bfloat16", (9,)), ("n", "int64", (5,))])
    sent = updates(layout, number, equal_factors)
    current = GlobalModel(0, layout, sent[0].base)
    one_by_one = FedAvg().fold(layout)
    for contribution in sent:
        one_by_one.add(contribution)
    expected = one_by_one.commit(current).tobytes()
    assert FedAvg().fold(layout).commit_with(sent, current).tobytes() == expected
    stride = FedStride(5).fold(layout)
    assert stride.commit_with(sent, current).tobytes() == expected
    begun = FedAvg().fold(layout)
    begun.add(sent[0])
    assert begun.commit_with(sent[1:], current).tobytes() == expected


def test_a_mean_of_its_own_leaves_what_was_added_as_it_is():
    layout = Layout.from_specs([("w", "float32", (5,))])
    buffers = [layout.pack({"w": np.full(5, value, np.float32)}) for value in (1, 2, 3)]
    mean = WeightedMean(layout)
    mean.add(buffers[0], 1.0)
    assert layout.views(mean.mean_of([Term(buffers[1], 1.0), Term(buffers[2], 3.0)]))["w"].tolist() == [2.75] * 5
    assert layout.views(mean.take())["w"].tolist() == [1.0] * 5


def test_equal_factors_are_counted_as_ones_until_one_differs():
    scale = Scale()
    none = np.empty(0, np.uint8)
    scaled = scale.scaled([Term(none, factor) for factor in (3.0, 0.0, 3.0, 5.0, 3.0)])
    assert [(term.factor, term.shrink) for term in scaled] == [(1.0, 1.0), (1.0, 1.0), (2.5, 1.5), (1.5, 1.0)]
    assert (scale.unit, scale.factors) == (2.0, 7.0)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 32, 33, 1000])
def test_blocks_cover_an_array_in_about_equal_parts(size):
    cut = list(blocks(size, 32))
    assert [index for at in cut for index in range(at.start, at.stop)] == list(range(size))
    assert all(at.stop - at.start <= 32 and at.start % 16 == 0 for at in cut)
