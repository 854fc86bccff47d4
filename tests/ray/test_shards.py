"""Shards of a model that actors of Ray combine: the same bits as without Ray, and as without shards."""

from __future__ import annotations

import pytest

pytest.importorskip("ray")

from fedactors.ray import shards
from tests.actors.test_sharded_runs import trained

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180), pytest.mark.xdist_group("ray")]

ON_RAY = {"runtime": {"engine": "ray"}, "ray": {"cpus_per_learner": 0.1}}


async def test_shards_on_ray_come_to_the_same_bits(monkeypatch):
    made, original = [], shards._made
    monkeypatch.setattr(shards, "_made", lambda *arguments: made.append(arguments) or original(*arguments))
    aggregation = {"rule": "fedadam", "combine": "fednova"}  # it keeps something from round to round, and needs bases
    _, here = await trained(1, aggregation)
    _, there = await trained(2, aggregation, **ON_RAY)
    assert there == here
    assert len(made) == 2
