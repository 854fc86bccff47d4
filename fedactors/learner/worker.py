"""The one thread in which a learner's code runs, so that the event loop and its heartbeats go on."""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

EXIT_GRACE_S = 2.0
"""How long a process that ends by itself waits for the job at hand."""

Result = TypeVar("Result")

_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


class Work(Protocol):
    """Runs a function somewhere and returns, or raises, what it did."""

    def __call__(self, job: Callable[[], Result], /) -> Awaitable[Result]:
        """Run `job`."""


async def inline(job: Callable[[], Result], /) -> Result:
    """Run it here and now, in the event loop: for tests, and for virtual time, which other threads cannot wake."""
    return job()


class Worker:
    """A daemon thread that runs jobs one at a time, in order.

    It is a daemon so that a process can end while user code is stuck; the process waits EXIT_GRACE_S for it. Cancelling a wait
    drops a job that has not begun; one that has begun runs to its end, and its outcome is dropped.

    Attributes:
        is_busy: a job is being run.
    """

    def __init__(self, name: str) -> None:
        self.is_busy = False
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    async def __call__(self, job: Callable[[], Result], /) -> Result:
        """Run `job` in the thread and wait for it."""
        if self._thread.ident is None:
            self._start()
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._jobs.put((job, future))
        return await future

    def stop(self) -> None:
        """Let the thread end after the job at hand; does not wait for it."""
        self._jobs.put(None)

    def _start(self) -> None:
        _workers.add(self)
        atexit.register(self._end)
        self._thread.start()

    def _end(self) -> None:
        self.stop()
        self._thread.join(EXIT_GRACE_S)

    def _serve(self) -> None:
        while self._serve_one():
            pass
        atexit.unregister(self._end)

    def _serve_one(self) -> bool:
        """Run one job; False at the end. What it returned is kept no longer than that."""
        item = self._jobs.get()
        if item is None:
            return False
        job, future = item
        if future.cancelled():
            return True
        self.is_busy = True
        settle = partial(_settle, future, *_outcome(job))
        self.is_busy = False
        try:
            future.get_loop().call_soon_threadsafe(settle)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return False
        return True


def end_process_if_busy(code: int) -> None:
    """End this process at once, with this exit code, if a worker is at a job; otherwise do nothing.

    For a process's very end: before Python 3.14, a daemon thread in C++ code (PyTorch's, say) makes the interpreter's own end
    abort with a core dump.
    """
    if any(worker.is_busy for worker in _workers):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


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
