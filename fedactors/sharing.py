"""What several federations of one process have in common: threads that compute, and memory that uploads are received into.

    with Sharing(memory_bytes=4 * 2**30) as sharing:
        async with Federation(first, sharing=sharing) as one, Federation(second, sharing=sharing) as other:
            results = await asyncio.gather(one.run(), other.run())

Without it, each federation has threads of its own, and its limits.uploads_max alone bounds what it receives at a time: n
federations then have n times as much, and one with a huge model has the processor and the memory for as long as it likes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from fedactors.actors.compute import Threads
from fedactors.actors.fair_threads import FairThreads
from fedactors.actors.receive_memory import ReceiveMemory
from fedactors.actors.room import BOUNDLESS, Room

FOLD_THREADS = 2
"""Threads that fold and check weights; two saturate the memory of a small machine."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one federation has.

    Attributes:
        threads: to fold and check weights in.
        room: memory to receive models into.
    """

    threads: Threads
    room: Room = BOUNDLESS


@contextmanager
def own_share() -> Iterator[Share]:
    """Of a federation that shares with nobody: threads of its own, and as much memory as its limits say."""
    with ThreadPoolExecutor(FOLD_THREADS, thread_name_prefix="fold") as executor:
        yield Share(Threads(executor, FOLD_THREADS))


class Sharing:
    """Fold threads and receive memory for several federations of one event loop; a context manager.

    Folds, combinations and checks of weights are taken from the federations in turn: each waits for one of every other's at most.
    Half of the memory is divided among the federations, so that each has its part whatever the others do; the other half goes
    to whoever needs more, in turn. What an aggregation rule keeps, and versions of the model, are not counted here.

    Attributes:
        memory_bytes: of all uploads that are under way at the same time. No model may be larger than half of it.
    """

    def __init__(self, *, threads: int = FOLD_THREADS, memory_bytes: int | None = None) -> None:
        """Begin the threads.

        Args:
            threads: how many compute, >= 1.
            memory_bytes: of uploads, >= 2; by default half of the machine's memory.
        """
        self.memory_bytes = memory_of_machine() // 2 if memory_bytes is None else memory_bytes
        self._threads = FairThreads(threads)
        self._memory = ReceiveMemory(self.memory_bytes)

    @contextmanager
    def share(self) -> Iterator[Share]:
        """One federation's part, for as long as it runs; `Federation` enters it."""
        room = self._memory.enter()
        try:
            with self._threads.party() as party:
                yield Share(Threads(party, self._threads.number), room)
        finally:
            self._memory.leave(room)

    @property
    def bytes_used(self) -> int:
        """Bytes that uploads have now. For monitoring."""
        return self._memory.used

    def close(self) -> None:
        """End the threads. Idempotent."""
        self._threads.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def memory_of_machine() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
