"""The actor system: the top of the tree, and all that its actors share."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from fedactors.log import get_logger
from fedactors.runtime.actor import Actor
from fedactors.runtime.bounded import BoundedRef, CheckedRef
from fedactors.runtime.clock import Clock
from fedactors.runtime.message import DeadLetter
from fedactors.runtime.ref import ActorRef
from fedactors.runtime.runqueue import RunQueue
from fedactors.runtime.supervisor import Decision, Restart, Supervision
from fedactors.runtime.trace import DeadLetters, SystemStatistics, note_failure

log = get_logger("fedactors.runtime")

M = TypeVar("M")


class ActorSystem:
    """Actors on the running event loop; an async context manager. Leaving it stops them all, the last spawned first; when that is
    cancelled, all handlers are.

    Not safe to use from other threads.

    Args:
        name: for the log.
        clock: the loop's own, unless given.
        supervision: of the actors at the top.
        seed: of the jitter of restarts, and of `shuffle`.
        shuffle: for tests: a random one of those that are ready has the next turn, one message at a time.
        check: for tests: is called with every message when it is sent, and may refuse it by raising.
        stop_timeout_s: how long a message at hand, a cancelled task or a `stopped()` may keep an actor from its end. Leaving the
            system takes so long at most before all handlers that are left are cancelled.

    Attributes:
        clock: the time.
        on_dead_letter: is called with every message that nobody handles.
        on_failure: is called with the path, the exception and the decision, for every failure of an actor.
    """

    clock: Clock
    _queue: RunQueue

    def __init__(
        self,
        name: str = "fedactors",
        *,
        clock: Clock | None = None,
        supervision: Supervision = Supervision(),  # noqa: B008 - a frozen value
        seed: int = 0,
        shuffle: bool = False,
        check: Callable[[Any], None] | None = None,
        stop_timeout_s: float = 10.0,
    ) -> None:
        self.name = name
        self.supervision = supervision
        self.stop_timeout_s = stop_timeout_s
        self.on_dead_letter: Callable[[DeadLetter], object] | None = None
        self.on_failure: Callable[[str, BaseException, Decision], object] | None = None
        self._given_clock = clock
        self._rng = random.Random(seed)  # noqa: S311 - jitter and test schedules, no secrets
        self._shuffle = random.Random(seed) if shuffle else None  # noqa: S311
        self._check = check
        self._names = itertools.count(1)
        self._dead_letters = DeadLetters()
        self._failures = 0
        self._top: ActorRef[Any] | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.clock = self._given_clock or Clock.of(loop)
        self._queue = RunQueue(loop, self.clock, self._shuffle)
        self._failure: asyncio.Future[BaseException] = loop.create_future()
        guardian = type("Guardian", (Actor,), {"supervision": self.supervision})
        self._top = self._make_ref(guardian, None, "", None, Restart.TEMPORARY)
        self._top._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        top = self._root
        top._get_life().terminate(None)
        try:
            async with asyncio.timeout(self.stop_timeout_s):
                await top.join()
        except TimeoutError:
            log.warning("system_killed", system=self.name, after_s=self.stop_timeout_s)
            top.kill()
            await top.join()
        except asyncio.CancelledError:
            top.kill()
            raise

    def spawn(
        self,
        factory: Callable[[], Actor[M]],
        *,
        name: str | None = None,
        capacity: int | None = None,
        restart: Restart = Restart.PERMANENT,
    ) -> ActorRef[M]:
        """Start an actor at the top of the tree.

        Args:
            factory: makes an instance, now and at every restart. What it raises now is raised here, and there is no actor;
                what `started()` raises is a failure of the actor.
            name: its part of the path; a number unless given.
            capacity: of its mailbox, in messages; None: not bounded.
            restart: when its supervisor restarts it.
        """
        return self._root._get_life().spawn(factory, name, capacity, restart)

    async def wait_failed(self) -> BaseException:
        """Wait until an actor at the top has failed more often than supervision allows; its last exception."""
        return await asyncio.shield(self._failure)

    @property
    def dead_letters(self) -> int:
        """How many messages nobody has handled."""
        return self._dead_letters.count

    def statistics(self) -> SystemStatistics:
        """What all actors have done so far."""
        queue = self._queue
        actors = tuple(ref.statistics() for ref, _ in self._walk())
        return SystemStatistics(actors, self.dead_letters, self._failures, len(queue.ready), queue.lag_s, queue.lag_max_s)

    def tree(self) -> str:
        """The supervision tree, to print."""
        lines = [self.name]
        for ref, depth in self._walk():
            life, actor = ref._life, ref._actor
            phase = "" if life is None else f" {life.phase.name.lower()}, {life.restarts} restarts"
            name = type(actor).__name__ if actor is not None else "-"
            lines.append(f"{'  ' * depth}{ref.name} ({name}, {ref._restart.value},{phase} {len(ref._mailbox or ())} queued)")
        return "\n".join(lines)

    # ------------------------------------------------------------------------------------------------------ for the actors' cells

    @property
    def _root(self) -> ActorRef[Any]:
        assert self._top is not None, "the system is not entered yet: async with ActorSystem() as system"
        return self._top

    def _walk(self) -> Iterator[tuple[ActorRef[Any], int]]:
        stack = [(self._root, 0)]
        while stack:
            ref, depth = stack.pop()
            if depth:
                yield ref, depth
            if ref._life is not None:
                stack.extend((child, depth + 1) for child in reversed(ref._life.children.values()))

    def _next_name(self) -> int:
        return next(self._names)

    def _make_ref(
        self,
        factory: Callable[[], Actor[Any]],
        parent: ActorRef[Any] | None,
        name: str | int,
        capacity: int | None,
        restart: Restart,
    ) -> ActorRef[Any]:
        if self._check is not None:
            return CheckedRef(self, factory, parent, name, restart, capacity or sys.maxsize, self._check)
        if capacity is None:
            return ActorRef(self, factory, parent, name, restart)
        return BoundedRef(self, factory, parent, name, restart, capacity)

    def _bury(self, message: Any, ref: ActorRef[Any], why: str) -> None:
        self._dead_letters.note(message, ref, why, self.clock.now())
        self._call_back(self.on_dead_letter, DeadLetter(message, ref, why))

    def _note_failure(self, ref: ActorRef[Any], error: BaseException, decision: Decision) -> None:
        self._failures += 1
        note_failure(ref, error, decision)
        self._call_back(self.on_failure, ref.path, error, decision)

    def _call_back(self, callback: Callable[..., object] | None, *arguments: Any) -> None:
        """A callback that fails must not harm what it looks at."""
        try:
            if callback is not None:
                callback(*arguments)
        except Exception as error:
            log.error("callback_failed", system=self.name, error=repr(error), exc_info=error)

    def _give_up(self, error: BaseException) -> None:
        log.error("system_failed", system=self.name, error=repr(error))
        if not self._failure.done():
            self._failure.set_result(error)
