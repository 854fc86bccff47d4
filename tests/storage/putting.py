"""A process that puts versions into a directory until it is killed; run by test_file_survives.

python putting.py DIR LINEAGE_LENGTH [MODEL_BYTES]: after each version that is kept, its number on a line.
"""

import asyncio
import itertools
import sys

import numpy as np

from fedactors.model import GlobalModel, Layout
from fedactors.storage import LearnerModel
from fedactors.storage.file import FileStorage


def layout_of(nbytes: int) -> Layout:
    return Layout.from_specs([("w", "uint8", (nbytes,))])


def content(version: int, nbytes: int) -> np.ndarray:
    """Bytes that tell one version from another in every page."""
    return np.resize(np.random.default_rng(version).integers(0, 256, 4099, np.uint8), layout_of(nbytes).nbytes)


async def main(place: str, lineage_length: int, nbytes: int) -> None:
    store = FileStorage(lineage_length=lineage_length, place=place)
    await store.open()
    version = max(await store.versions(), default=-1) + 1
    layout = layout_of(nbytes)
    lineage = await store.lineage("a")
    for sequence in itertools.count(lineage[-1].number + 1 if lineage else 0):
        await store.put(LearnerModel("a", sequence, version, layout, content(sequence, nbytes)))
        await store.put(GlobalModel(version, layout, content(version, nbytes)))
        print(version, flush=True)
        version += 1


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
