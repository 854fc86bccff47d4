"""Where learners are placed, how many hosts find room, and who is told that none does: all of it without Ray's processes."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedactors.errors import ConfigError, TransportError
from fedactors.model import GlobalModel, Layout

pytest.importorskip("ray")

from fedactors.ray.needs import Needs, Node
from fedactors.ray.placement import Placement
from fedactors.ray.versions import Versions

NODES = [Node("10.0.0.1", 4.0, 0.0, 8_000), Node("10.0.0.2", 2.0, 1.0, 4_000)]


def settle(placement, learners, room):
    """Place whoever is nowhere, and have hosts as they are wanted; how many learners each host has then."""
    for learner in learners:
        if placement.host_of(learner) is None:
            if placement.wants_host(len(learners), room):
                placement.add(max(placement.hosts, default=-1) + 1)
            placement.place(learner)
    return [sum(placement.host_of(learner) == host for learner in learners) for host in placement.hosts]


@given(st.integers(1, 40), st.integers(1, 7))
def test_learners_are_spread_evenly_over_as_many_hosts_as_find_room(count, room):
    found = settle(Placement(), [f"learner-{index}" for index in range(count)], room)
    assert len(found) == min(count, room)
    assert sum(found) == count
    assert max(found) - min(found) <= 1


@given(st.integers(2, 40), st.integers(2, 7), st.integers(0, 6))
def test_learners_of_a_lost_host_are_spread_over_the_others(count, room, lost):
    placement, learners = Placement(), [f"learner-{index}" for index in range(count)]
    hosts = settle(placement, learners, room)
    homeless = placement.lose(lost % len(hosts))
    assert homeless == tuple(learner for learner in learners if placement.host_of(learner) is None)
    found = settle(placement, learners, room - 1)
    assert len(found) == min(count, room - 1)
    assert sum(found) == count
    assert max(found) - min(found) <= 1


def test_a_learner_stays_where_it_is_when_others_lose_their_host():
    placement = Placement()
    placement.add(0)
    placement.add(1)
    places = {name: placement.place(name) for name in "abcd"}
    assert places == {"a": 0, "b": 1, "c": 0, "d": 1}
    assert placement.lose(0) == ("a", "c")
    assert placement.lose(0) == ()
    assert [placement.host_of(name) for name in "abcd"] == [None, 1, None, 1]
    assert placement.place("a") == 1


@pytest.mark.parametrize(
    ("needs", "room"),
    [
        (Needs(), 6),
        (Needs(cpus=0.5), 12),
        (Needs(cpus=0.1), 60),
        (Needs(cpus=3), 1),
        (Needs(gpus=0.5), 2),
        (Needs(memory_bytes=2_000), 6),
        (Needs(memory_bytes=5_000), 1),
    ],
)
def test_there_is_room_for_as_many_as_every_node_can_hold_of_all_that_they_need(needs, room):
    assert needs.room(NODES) == room
    assert needs.lacking(NODES) is None


def test_needs_that_no_node_meets_are_named_with_what_the_nodes_have():
    said = Needs(cpus=8, gpus=2).lacking(NODES)
    assert said is not None
    assert said.startswith("ray.cpus_per_learner = 8 and ray.gpus_per_learner = 2: no node of the Ray cluster has that")
    assert "10.0.0.2: 2 CPUs, 1 GPUs, 4,000 bytes" in said


def test_needs_that_no_single_node_meets_together_are_all_named():
    said = Needs(cpus=3, gpus=1).lacking(NODES)
    assert said is not None
    assert said.startswith("ray.cpus_per_learner = 3 and ray.gpus_per_learner = 1: no node")


def model(version):
    weights = {"w": np.full(3, version, np.float32)}
    layout = Layout.of(weights)
    return GlobalModel(version, layout, layout.pack(weights))


class Store:
    """Where versions are put; remembers which."""

    def __init__(self):
        self.put_there = []

    async def put(self, given):
        self.put_there.append(given.version)
        return f"reference {given.version}"

    async def fetch(self, version):
        await asyncio.sleep(0)
        return model(version)


async def test_a_version_is_put_once_for_all_who_ask_at_the_same_time():
    store = Store()
    versions = Versions(store.put)

    async def use():
        async with versions.held(3, store.fetch) as reference:
            await asyncio.sleep(0)
            return reference

    assert await asyncio.gather(*(use() for _ in range(20))) == ["reference 3"] * 20
    assert store.put_there == [3]


async def test_versions_that_nobody_needs_any_more_go_but_for_the_newest():
    store = Store()
    versions = Versions(store.put)
    async with versions.held(1, store.fetch):
        async with versions.held(2, store.fetch):
            pass
        assert len(versions) == 2
    assert len(versions) == 1
    async with versions.held(2, store.fetch):
        pass
    assert store.put_there == [1, 2]


async def test_whoever_waits_for_a_version_fetches_it_where_the_first_one_could_not():
    store = Store()
    versions = Versions(store.put)

    async def cancelled(version):
        raise TransportError("the task was cancelled before its weights were here")

    async def use(fetch):
        async with versions.held(1, fetch) as reference:
            return reference

    first, second = await asyncio.gather(use(cancelled), use(store.fetch), return_exceptions=True)
    assert isinstance(first, TransportError)
    assert second == "reference 1"


@pytest.mark.parametrize(
    ("address", "said"),
    [("ray://10.0.0.5:10001", "run the controller on a node"), ("somewhere", "not of the form host:port")],
)
async def test_an_address_that_cannot_be_used_is_refused_before_ray_is_asked(address, said):
    from fedactors.ray.cluster import connected

    with pytest.raises(ConfigError, match=said):
        async with connected(address):
            raise AssertionError("there is none")
