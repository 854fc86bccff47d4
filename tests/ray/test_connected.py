"""Who holds Ray, and whose failures are whose."""

import pytest

pytest.importorskip("ray")

from fedactors.errors import Unreachable
from fedactors.ray import cluster


async def test_a_timeout_of_whoever_holds_ray_is_not_told_as_ray_s(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster, "_join", lambda address, holder: None)
    with pytest.raises(TimeoutError, match="of something else"):
        async with cluster.connected(None):
            raise TimeoutError("of something else")


async def test_a_ray_that_does_not_begin_in_time_is_one_line(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 0.0)
    monkeypatch.setattr(cluster, "_join", lambda address, holder: None)
    with pytest.raises(Unreachable, match="Ray on this machine is not ready after 0 s"):
        async with cluster.connected(None):
            pass
