"""A version is received into the memory of the one before, unless user code still looks at that; so is an update packed."""

import numpy as np
import pytest

from fedactors import Learner
from fedactors.protocol.buffers import ReusedMemory, is_held_by_nobody_else
from tests.learner.test_client import evaluate, heard, train, until

VERSIONS = 5
VALUES = 300


class Keeper(Learner):
    """Keeps something of the weights that it is given, round after round, and gives them back as they are."""

    num_train_examples = 1

    def __init__(self, keep):
        self.keep, self.kept, self.addresses = keep, [], []

    def get_weights(self):
        raise AssertionError("nobody asks for them")

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        self.addresses.append(weights["w"].ctypes.data)
        self.kept.append(self.keep(weights))
        return weights, {}

    def evaluate(self, weights, params):
        return {"first": weights["w"][0], "num_examples": 1}


KEEPS = {
    "all": lambda weights: weights["w"],
    "a part": lambda weights: weights["w"].reshape(3, -1)[1:, ::2],
    "a memoryview": lambda weights: memoryview(weights["w"]),
    "another type": lambda weights: np.asarray(weights["w"]).view(np.int32),
}


async def worked_through(learner, controller, running):
    """Every version trained from and evaluated; the updates' first values."""
    for version in range(VERSIONS):
        controller.publish(version, {"w": np.full(VALUES, version, np.float32), "b": np.float32(version)})
    async with running(learner):
        for version in range(VERSIONS):
            await controller.session.send(train(f"t{version}", version))
            await controller.session.send(evaluate(f"e{version}", version))
            assert (await heard(controller)).report.metrics == {"first": version}
        await until(lambda: len(controller.updates) == VERSIONS)
    assert controller.fetched == list(range(VERSIONS))
    for version, (_, weights, _) in enumerate(controller.updates):
        np.testing.assert_array_equal(weights["w"], np.full(VALUES, version, np.float32))


async def test_a_learner_that_keeps_nothing_receives_into_the_same_memory(controller, running):
    learner = Keeper(lambda _: None)
    await worked_through(learner, controller, running)
    assert len(set(learner.addresses)) == 1


@pytest.mark.parametrize("what", KEEPS)
async def test_what_a_learner_keeps_of_a_version_does_not_change(controller, running, what):
    learner = Keeper(KEEPS[what])
    await worked_through(learner, controller, running)
    assert len(set(learner.addresses)) == VERSIONS
    for version, kept in enumerate(learner.kept):
        expected = KEEPS[what]({"w": np.full(VALUES, version, np.float32)})
        np.testing.assert_array_equal(np.asarray(kept), np.asarray(expected))


async def test_memory_that_is_let_go_of_later_is_used_again_from_then_on(controller, running):
    learner = Keeper(lambda weights: weights["w"] if weights["w"][0] < 2 else None)
    await worked_through(learner, controller, running)
    assert len(set(learner.addresses)) == 3
    assert [kept[0] for kept in learner.kept[:2]] == [0, 1]


async def test_downloads_that_are_cut_change_nothing_that_was_kept(controller, running):
    learner = Keeper(lambda weights: weights["w"] if weights["w"][0] == 1 else None)
    for version in range(VERSIONS):
        controller.publish(version, {"w": np.full(VALUES, version, np.float32)})
    async with running(learner):
        for version in range(VERSIONS):
            controller.fetches_that_are_cut = 1
            await controller.session.send(train(f"t{version}", version))
            await until(lambda version=version: len(controller.updates) > version)
    assert [weights["w"][-1] for _, weights, _ in controller.updates] == list(range(VERSIONS))
    assert set(learner.kept[1]) == {1.0}


@pytest.mark.parametrize("what", KEEPS)
def test_a_buffer_with_a_view_left_is_held_by_somebody(what):
    holder = [np.zeros(4 * VALUES, np.uint8)]
    assert is_held_by_nobody_else(holder)
    kept = KEEPS[what]({"w": np.ndarray(VALUES, np.float32, holder[0])})
    assert not is_held_by_nobody_else(holder)
    del kept
    assert is_held_by_nobody_else(holder)


def test_a_variable_holds_a_buffer():
    holder = [np.zeros(8, np.uint8)]
    variable = holder[0]
    assert not is_held_by_nobody_else(holder)
    del variable
    assert is_held_by_nobody_else(holder)


def address(buffer):
    return buffer.__array_interface__["data"][0]


def test_memory_is_lent_again_once_nobody_holds_it():
    memory = ReusedMemory()
    first = memory.take(100)
    place = address(first)
    second = memory.take(100)
    assert address(second) != place
    place = address(second)
    del second
    third = memory.take(100)
    assert address(third) == place


def test_large_memory_is_not_kept():
    memory = ReusedMemory(bytes_max=100)
    memory.take(101)
    small = memory.take(100)
    assert memory._lent[0] is small
    memory.take(101)
    assert memory._lent[0] is small


async def test_updates_that_were_delivered_leave_their_memory_to_the_next(controller, running, monkeypatch):
    lent, take = [], ReusedMemory.take

    def taken(self, nbytes):
        buffer = take(self, nbytes)
        lent.append((id(self), address(buffer)))
        return buffer

    monkeypatch.setattr(ReusedMemory, "take", taken)
    await worked_through(Keeper(lambda _: None), controller, running)
    for memory in {memory for memory, _ in lent}:  # that of versions, and that of updates
        addresses = [address for one, address in lent if one == memory]
        assert len(addresses) == VERSIONS
        assert len(set(addresses)) < VERSIONS
