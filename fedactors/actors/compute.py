"""Where the heavy arithmetic of an actor runs: in worker threads for big arrays, in place for small ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

INLINE_BYTES_MAX = 2 * 1024 * 1024
"""Work on fewer bytes than this takes less time than the hop to a thread and back."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Runs functions that work on large arrays.

    Attributes:
        executor: its threads; None: everything runs in place, as virtual time needs it.
    """

    executor: Executor | None = None

    def in_place(self, nbytes: int) -> bool:
        """Whether work on so much memory is done where it is asked for."""
        return self.executor is None or nbytes < INLINE_BYTES_MAX

    async def run(self, nbytes: int, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result. `nbytes`: about how much memory it reads.

        A cancelled call goes on in its thread to the end; its result is dropped.
        """
        if self.executor is None or self.in_place(nbytes):
            return function(*args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self.executor, lambda: function(*args, **kwargs))
