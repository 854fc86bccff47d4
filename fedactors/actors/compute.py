"""Where the heavy arithmetic of an actor runs: in worker threads for big arrays, in place for small ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from typing_extensions import override

from fedactors.actors import compiling
from fedactors.aggregation.lanes import Lanes, working_in

P = ParamSpec("P")
T = TypeVar("T")

INLINE_BYTES_MAX = 2 * 1024 * 1024
"""Work on fewer bytes than this takes less time than the hop to a thread and back."""


@dataclass(frozen=True, slots=True)
class Threads(Lanes):
    """The threads of an executor, of which the caller's may be one.

    Attributes:
        executor: its threads do other work, too: a lane that finds none idle is done without.
        number: of lanes, the caller's included.
    """

    executor: Executor
    number: int

    @override
    def each(self, work: Callable[[T], object], items: Sequence[T]) -> None:
        waiting = deque(items)
        others = [self.executor.submit(_drain, work, waiting) for _ in range(min(self.number, len(items)) - 1)]
        try:
            _drain(work, waiting)
        finally:
            waiting.clear()
            begun = [other for other in others if not other.cancel()]
            errors = [other.exception() for other in begun]
        for error in filter(None, errors):
            raise error


def _drain(work: Callable[[T], object], waiting: deque[T]) -> None:
    """Work on what is waiting until nothing is; several threads may drain one deque."""
    while True:
        try:
            item = waiting.popleft()
        except IndexError:
            return
        work(item)


@dataclass(frozen=True, slots=True)
class Compute:
    """Runs functions that work on large arrays.

    Attributes:
        threads: where they run, and over which they may share out what they do; None: everything runs in place, as virtual time
            needs it.
    """

    threads: Threads | None = None

    @property
    def lanes(self) -> int:
        """Calls that are of use at the same time."""
        return 1 if self.threads is None else self.threads.number

    def in_place(self, nbytes: int) -> bool:
        """Whether work on so much memory is done where it is asked for."""
        return self.threads is None or nbytes < INLINE_BYTES_MAX

    async def run(self, nbytes: int, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result. `nbytes`: about how much memory it reads.

        A cancelled call goes on in its thread to the end; its result is dropped.
        """
        threads = self.threads
        if threads is None or self.in_place(nbytes):
            return function(*args, **kwargs)
        if nbytes >= compiling.COMPILED_BYTES_MIN:
            compiling.begin()

        def in_lanes() -> T:
            with working_in(threads):
                return function(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(threads.executor, in_lanes)
