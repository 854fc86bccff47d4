"""A process that puts models into a store until it is killed, and what must be there then.

python putting.py SCHEME PLACE LINEAGE_LENGTH: after each version that is kept, its number on a line.
"""

import asyncio
import itertools
import signal
import subprocess
import sys
import time

import numpy as np

from fedactors import plugins
from fedactors.model import GlobalModel, Layout
from fedactors.storage import LearnerModel, Storage

LAYOUT = Layout.from_specs([("w", "uint8", (1_500_000,))])


def content(number: int) -> np.ndarray:
    """Bytes that tell one model from another in every page."""
    return np.resize(np.random.default_rng(number).integers(0, 256, 4099, np.uint8), LAYOUT.nbytes)


def store_at(scheme: str, place: str, lineage_length: int) -> Storage:
    """The store that both processes open."""
    return plugins.build("fedactors.storage", scheme, {"place": place, "lineage_length": lineage_length})


async def put_for_ever(store: Storage) -> None:
    """Go on from what there is: a model of a learner, a version, and so on."""
    await store.open()
    version = max(await store.versions(), default=-1) + 1
    lineage = await store.lineage("a")
    for sequence in itertools.count(lineage[-1].number + 1 if lineage else 0):
        await store.put(LearnerModel("a", sequence, version, LAYOUT, content(sequence)))
        await store.put(GlobalModel(version, LAYOUT, content(version)))
        print(version, flush=True)
        version += 1


def put_until_killed(scheme: str, place: str, lineage_length: int, delay_s: float) -> int:
    """Start a process that puts, kill it so long after its first version; the last version that it reported."""
    command = [sys.executable, __file__, scheme, place, str(lineage_length)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reported = [process.stdout.readline()]
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        reported += process.stdout.readlines()
        assert process.wait() == -signal.SIGKILL
    return int([line for line in reported if line.endswith("\n")][-1])


async def check_whole(store: Storage, lineage_length: int, last: int) -> None:
    """Everything that is there is whole; everything that was reported is there, unless others made it go."""
    await store.open()
    versions = await store.versions()
    assert versions[-1] - last in (0, 1), "a version may be kept, and its process killed before it says so"
    assert versions == list(range(versions[-1] + 1))[-lineage_length:]
    for version in versions:
        assert np.array_equal((await store.get(version)).buffer, content(version)), f"version {version} is torn"
    sent = [one async for one in store.select(["a"], len(versions))]
    assert [one.sequence for one in sent] == [entry.number for entry in await store.lineage("a")][-len(versions) :]
    assert all(np.array_equal(one.buffer, content(one.sequence)) for one in sent)
    await store.close()


if __name__ == "__main__":
    asyncio.run(put_for_ever(store_at(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
