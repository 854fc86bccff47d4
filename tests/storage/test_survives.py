"""Stores and a process that is killed at any instant: what it reported as kept is there, and nothing is torn."""

import os
import random

import pytest

from tests.storage.putting import check_whole, put_until_killed, store_at
from tests.storage.redis_servers import serving

KILLS = int(os.environ.get("FEDACTORS_KILLS", "3"))
"""How often each of the cases kills; more in a long run by hand."""


async def check_survival(scheme: str, place: str, lineage_length: int) -> None:
    rng, last = random.Random(f"{scheme}-{lineage_length}"), -1
    for _ in range(KILLS):
        reported = put_until_killed(scheme, place, lineage_length, rng.uniform(0, 0.15))
        assert reported > last, "each process goes on from where the one before it was killed"
        last = reported
        await check_whole(store_at(scheme, place, lineage_length), lineage_length, last)


@pytest.mark.e2e
@pytest.mark.parametrize("lineage_length", [3, 0], ids=["slots used again", "new slots"])
async def test_files_lose_and_tear_nothing(tmp_path, lineage_length):
    await check_survival("file", str(tmp_path / "models"), lineage_length)


@pytest.mark.e2e
async def test_redis_loses_and_tears_nothing_and_keeps_no_leftovers():
    with serving() as server:
        await check_survival("redis", server.place, 3)
        with server.client as client:
            chunks = list(client.scan_iter("fedactors:*:chunk:*"))
            kept = client.hlen("fedactors:{federation}:index")
            assert len(chunks) == kept * 3  # 1.5 MB in pieces of 512 KiB
