"""The one thread in which a learner's code runs, so that the event loop and its heartbeats go on."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Work(Protocol):
    """Runs a function somewhere and returns, or raises, what it did."""

    def __call__(self, job: Callable[[], Result], /) -> Awaitable[Result]:
        """Run `job`."""


async def inline(job: Callable[[], Result], /) -> Result:
    """Run it here and now, in the event loop: for tests, and for virtual time, which other threads cannot wake."""
    return job()


class Worker:
    """A daemon thread that runs jobs one at a time, in order.

    It is a daemon so that a process can end while user code is stuck. Cancelling a wait drops a job that has not begun; one that
    has begun runs to its end, and its outcome is dropped.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    async def __call__(self, job: Callable[[], Result], /) -> Result:
        """Run `job` in the thread and wait for it."""
        if self._thread.ident is None:
            self._thread.start()
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._jobs.put((job, future))
        return await future

    def stop(self) -> None:
        """Let the thread end after the job at hand; does not wait for it."""
        self._jobs.put(None)

    def _serve(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, future = item
            if future.cancelled():
                continue
            settle = partial(_settle, future, *_outcome(job))
            try:
                future.get_loop().call_soon_threadsafe(settle)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return


def _outcome(job: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return job(), None
    except BaseException as error:  # whatever it is, it belongs to whoever waits
        return None, error


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # nobody waits any more
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
