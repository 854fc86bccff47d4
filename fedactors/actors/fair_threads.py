"""Threads that several federations of one process compute in, each as if they were its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar

from typing_extensions import override

from fedactors.actors.turns import Turns

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A call that waits for a thread."""

    call: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)

    def run(self) -> None:
        """Do it, unless nobody wants it any more."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.call())
        except BaseException as error:  # it is the caller's, whatever it is
            self.future.set_exception(error)


class FairThreads:
    """So many threads; the parties that have work for them are served in turn.

    A party alone has all of them. With each call a token is handed to the threads' own queue, and whichever thread takes it works
    on the call whose turn it is then: as many tokens as calls, so that none is left over.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._threads = ThreadPoolExecutor(number, thread_name_prefix="fold")
        self._turns: Turns[Party, _Job] = Turns()
        self._lock = threading.Lock()

    def party(self) -> Party:
        """An executor for one more."""
        return Party(self)

    def put(self, party: Party, job: _Job) -> None:
        """Have a call wait for its turn."""
        with self._lock:
            self._turns.put(party, job)
        self._threads.submit(self._take)

    def _take(self) -> None:
        with self._lock:
            job = self._turns.take()
        if job is not None:
            job.run()

    def drop(self, party: Party) -> None:
        """Cancel what waits of a party."""
        with self._lock:
            jobs = self._turns.drop(party)
        for job in jobs:
            job.future.cancel()

    def close(self) -> None:
        """End the threads, when what they are at is done. Idempotent."""
        self._threads.shutdown(cancel_futures=True)


class Party(Executor):
    """One that has work for shared threads."""

    def __init__(self, threads: FairThreads) -> None:
        self._threads = threads
        self._closed = False

    @override
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if self._closed:
            raise RuntimeError("this party has no work any more")
        job = _Job(partial(fn, *args, **kwargs))
        self._threads.put(self, job)
        return job.future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work, and cancel what waits; what a thread is at goes on to its end, for which nobody waits.

        Whoever calls it is on the event loop, which is the others', too.
        """
        self._closed = True
        self._threads.drop(self)
