"""The file store and a process that is killed at any instant: what it reported as kept is there, and nothing is torn."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fedactors.storage.file import FileStorage
from tests.storage.putting import content

PUTTING = Path(__file__).with_name("putting.py")
KILLS = int(os.environ.get("FEDACTORS_KILLS", "3"))
"""How often each of the cases kills; more in a long run by hand."""
KEPT, NBYTES = 3, 1_500_000


def put_until_killed(place: Path, lineage_length: int, delay_s: float) -> int:
    """Start a process that puts, kill it so long after its first version; the last version that it reported."""
    command = [sys.executable, str(PUTTING), str(place), str(lineage_length), str(NBYTES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reported = [process.stdout.readline()]
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        reported += process.stdout.readlines()
        assert process.wait() == -signal.SIGKILL
    return int([line for line in reported if line.endswith("\n")][-1])


async def is_whole(place: Path, lineage_length: int, last: int) -> None:
    """Everything that is there is whole; everything that must be there is."""
    store = FileStorage(lineage_length=lineage_length, place=str(place))
    await store.open()
    versions = await store.versions()
    assert versions[-1] - last in (0, 1)  # a version may be kept, and its process killed before it says so
    assert versions == list(range(versions[-1] + 1))[-lineage_length:]
    for version in versions:
        assert np.array_equal((await store.get(version)).buffer, content(version, NBYTES)), f"version {version} is torn"
    sent = [one async for one in store.select(["a"], len(versions))]
    assert [one.sequence for one in sent] == [entry.number for entry in await store.lineage("a")][-len(versions) :]
    assert all(np.array_equal(one.buffer, content(one.sequence, NBYTES)) for one in sent)
    await store.close()


@pytest.mark.e2e
@pytest.mark.parametrize("lineage_length", [KEPT, 0], ids=["slots used again", "new slots"])
async def test_killed_at_any_instant_nothing_is_lost_or_torn(tmp_path, lineage_length):
    rng = random.Random(lineage_length)
    last = -1
    for _ in range(KILLS):
        reported = put_until_killed(tmp_path / "models", lineage_length, rng.uniform(0, 0.15))
        assert reported > last  # each process goes on from where the one before it was killed
        last = reported
        await is_whole(tmp_path / "models", lineage_length, last)
