"""An actor's life beyond its messages: its children, and how it fails, ends and begins again.

RUNNING -> CLOSING -> CLOSED -> RUNNING (a restart) or DEAD. Whoever closes an actor takes its mailbox away from it first, so that
nothing more is handled; what is queued stays queued until it runs again. Closing is one task: it waits for what was cancelled,
stops the children in reverse order, then calls `stopped()`; each wait has a bound.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from fedactors.errors import ActorError, ActorStopped
from fedactors.log import get_logger
from fedactors.runtime.belongings import Belongings
from fedactors.runtime.mailbox import Grave
from fedactors.runtime.message import Finished, Stop, Terminated, Tick
from fedactors.runtime.reply import refuse
from fedactors.runtime.supervisor import Action, Decision, History, Restart, Strategy, decide

if TYPE_CHECKING:
    from fedactors.runtime.actor import Actor
    from fedactors.runtime.ref import ActorRef

log = get_logger("fedactors.runtime")


class Phase(enum.Enum):
    """Where in its life an actor is."""

    RUNNING = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()
    DEAD = enum.auto()


class Life(Belongings):
    """One actor's life.

    Attributes:
        phase: where in its life it is.
        children: by name, in the order of their birth.
        watchers: who is told when it has stopped.
        restarts: how often it was.
        history: of its restarts, for its supervisor's decisions.
    """

    __slots__ = (
        "_closing",
        "_doomed",
        "_ending",
        "_group_history",
        "_over",
        "_reason",
        "_restarting",
        "children",
        "history",
        "phase",
        "restarts",
    )

    def __init__(self, ref: ActorRef[Any]) -> None:
        super().__init__(ref)
        self.phase = Phase.RUNNING
        self.children: dict[str | int, ActorRef[Any]] = {}
        self.restarts = 0
        self.history: History | None = None
        self._group_history: History | None = None
        self._doomed = False
        self._reason: BaseException | None = None
        self._over: asyncio.Event | None = None
        self._closing: asyncio.Task[None] | None = None
        self._ending: list[asyncio.Task[Any]] = []  # cancelled, and to be waited for
        self._restarting: dict[asyncio.Task[None], list[ActorRef[Any]]] = {}

    def check_running(self, purpose: str) -> None:
        """Refuse what would outlive this instance."""
        if self.phase is not Phase.RUNNING:
            raise ActorStopped(f"{self.ref.path} cannot {purpose}: it is ending")

    # ------------------------------------------------------------------------------------------------------------------ to end

    def fail(self, error: BaseException) -> None:
        """This instance has failed: end it, and ask its supervisor what next."""
        if self.phase is not Phase.RUNNING:
            log.warning("error_after_end", actor=self.ref.path, error=repr(error))
            return
        self.close(error)
        self._ask_supervisor(error)

    def obey(self, stop: Stop) -> None:
        """A stop signal has its turn."""
        if stop.own:
            self.close(None, at_once=True)
            self._ask_supervisor(None)
        else:
            self.terminate(None, at_once=True)

    def _ask_supervisor(self, error: BaseException | None) -> None:
        parent = self.ref._parent
        if parent is not None:
            parent._get_life().supervise(self.ref, error)
        elif error is not None:
            self.terminate(error)

    def kill(self) -> None:
        """End it for good, and its children, without waiting for a message at hand."""
        for child in reversed(list(self.children.values())):
            child.kill()
        self.terminate(None)

    def terminate(self, reason: BaseException | None, *, at_once: bool = False) -> None:
        """End it for good; see `close`."""
        if self.phase is Phase.DEAD:
            return
        self._doomed = True
        self._reason = self._reason or reason
        if self.phase is Phase.RUNNING:
            self.close(reason, at_once=at_once)
        elif self.phase is Phase.CLOSED:
            self._bury()

    def close(self, reason: BaseException | None, *, at_once: bool = False) -> None:
        """End this instance; the actor may begin again.

        Args:
            reason: the failure that ends it.
            at_once: no handler of it is on the stack: where nothing is to be waited for, no task is made.
        """
        if self.phase is not Phase.RUNNING:
            return
        self.phase = Phase.CLOSING
        self._hold()
        if at_once and not self._ending and not self.children:
            stopping = self._call_stopped(reason)
            if stopping is None:
                self._closed()
                return
            closing = self._finish(stopping)
        else:
            closing = self._close(reason)
        self._closing = self.ref._queue.loop.create_task(closing, name=f"close:{self.ref.path}")

    async def wait_closed(self) -> None:
        """Wait until the instance that is being ended has ended."""
        if self._closing is not None:
            await asyncio.wait([self._closing])

    async def wait_over(self) -> None:
        """Wait until the actor is gone."""
        if self.phase is not Phase.DEAD:
            self._over = self._over or asyncio.Event()
            await self._over.wait()

    def _hold(self) -> None:
        """Take the mailbox away from the instance, and everything from it that would go on by itself."""
        ref = self.ref
        ref._queue.remove(ref)
        mailbox = ref._mailbox
        if mailbox is None:
            ref._mailbox = deque()
        else:
            ref._mailbox = deque(entry for entry in mailbox if entry.__class__ not in (Tick, Finished, Terminated))
            mailbox.clear()
        asked, ref._asked = ref._asked, None
        if asked is not None:
            refuse(asked, "has ended")
        runner, ref._runner = ref._runner, None
        if runner is not None:
            runner.end()
            self._ending.append(runner.task)
        for restarting in self._restarting:
            restarting.cancel()
        self._ending.extend(self.let_go())

    async def _close(self, reason: BaseException | None) -> None:
        ref, limit_s = self.ref, self.ref._system.stop_timeout_s
        ending, self._ending = self._ending, []
        if ending:
            _, stubborn = await asyncio.wait(ending, timeout=limit_s)
            for task in stubborn:
                log.error("task_ignores_cancellation", actor=ref.path, task=task.get_name())
        for child in list(self.children.values()):
            if child._life is not None and child._life.phase is not Phase.RUNNING:
                child.stop()  # its restart will never come, and others may be waiting for its answers
        for child in reversed(list(self.children.values())):
            await _stop(child, limit_s)
        await self._finish(self._call_stopped(reason))

    def _call_stopped(self, reason: BaseException | None) -> Awaitable[None] | None:
        actor = self.ref._actor
        if actor is not None and not self.ref._starting:  # what has not started need not be stopped
            try:
                return actor.stopped(reason)
            except Exception as error:
                self._note_failed_stop(error)
        return None

    async def _finish(self, stopping: Awaitable[None] | None) -> None:
        if stopping is not None:
            try:
                async with asyncio.timeout(self.ref._system.stop_timeout_s):
                    await stopping
            except Exception as error:
                self._note_failed_stop(error)
        self._closed()

    def _note_failed_stop(self, error: Exception) -> None:
        log.error("stopped_failed", actor=self.ref.path, error=repr(error), exc_info=error)

    def _closed(self) -> None:
        self.ref._actor = None
        self.phase, self._closing = Phase.CLOSED, None
        if self._doomed:
            self._bury()

    def _bury(self) -> None:
        """The actor is gone: what is left is dead letters, and those who watch or wait are told."""
        ref, self.phase = self.ref, Phase.DEAD
        left, ref._mailbox = ref._mailbox or (), Grave(ref, self._reason)
        for entry in left:
            ref._mailbox.append(entry)
        waiting, ref._waiting = ref._waiting or (), ref._waiting and deque()
        for sender, entry in waiting:
            if not sender.done():
                ref._mailbox.append(entry)
                if sender is not entry:
                    sender.set_result(None)
        if ref._parent is not None:
            ref._parent._get_life().children.pop(ref._name, None)
        for watcher in self.watchers:
            watcher._get_life().watching.pop(ref, None)
            watcher._post(Terminated(ref, self._reason))
        self.watchers.clear()
        if self._over is not None:
            self._over.set()

    # ---------------------------------------------------------------------------------------------------------------- to begin

    def begin(self) -> bool:
        """Make the next instance of an actor that is closed; not of one that is to end. False: it has failed at once."""
        if self.phase is Phase.CLOSED and not self._doomed:
            self.phase = Phase.RUNNING
            self.restarts += 1
            try:
                self.ref._start()
            except Exception as error:
                self.fail(error)
                return False
        return True

    # ---------------------------------------------------------------------------------------------------------------- children

    def spawn(self, factory: Callable[[], Actor[Any]], name: str | None, capacity: int | None, restart: Restart) -> ActorRef[Any]:
        """A child, started. Raises what the factory raises, and then there is no child."""
        self.check_running("spawn a child")
        system = self.ref._system
        key = system._next_name() if name is None else name
        assert name is None or (name and "/" not in name and name[0] != "$"), f"{name!r} is no name for an actor"
        if key in self.children:
            raise ActorError(f"{self.ref.path} has a child named {name!r} already")
        child = system._make_ref(factory, self.ref, key, capacity, restart)
        self.children[key] = child
        try:
            child._start()
        except BaseException:
            del self.children[key]
            raise
        return child

    def supervise(self, child: ActorRef[Any], error: BaseException | None) -> None:
        """A child has failed; without an error, it has stopped itself."""
        system, actor = self.ref._system, self.ref._actor
        if self.phase is not Phase.RUNNING or actor is None:
            decision = Decision(Action.STOP)  # with its parent, which is about to end or to begin again
        else:
            policy = actor.supervision
            decision = decide(
                policy, child._restart, self._history_of(child, policy.strategy),
                failed=error is not None, now_s=system.clock.now(), draw=system._rng.random(),
            )  # fmt: skip
        if error is not None:
            system._note_failure(child, error, decision)
        match decision.action:
            case Action.STOP:
                child._get_life().terminate(error)
            case Action.ESCALATE:
                error = error or ActorError(f"{child.path} has stopped itself too often")
                child._get_life().terminate(error)
                self._escalate(error)
            case Action.RESTART:
                assert actor is not None
                self._restart(child, actor.supervision.strategy, decision.delay_s, error)

    def _history_of(self, child: ActorRef[Any], strategy: Strategy) -> History:
        if strategy is Strategy.ONE_FOR_ONE:
            life = child._get_life()
            life.history = life.history or History()
            return life.history
        self._group_history = self._group_history or History()
        return self._group_history

    def _escalate(self, error: BaseException) -> None:
        if self.ref._parent is None:
            self.ref._system._give_up(error)
        else:
            self.fail(error)

    def _restart(self, child: ActorRef[Any], strategy: Strategy, delay_s: float, error: BaseException | None) -> None:
        group = [child]
        if strategy is not Strategy.ONE_FOR_ONE:
            siblings = list(self.children.values())
            first = siblings.index(child) if strategy is Strategy.REST_FOR_ONE else 0
            members = {*siblings[first:], *(ref for group in self._restarting.values() for ref in group)}
            group = [ref for ref in siblings if ref in members]
            for earlier in self._restarting:
                earlier.cancel()  # its group is part of this one now
        task = self.ref._queue.loop.create_task(_restart(group, delay_s, error), name=f"restart:{child.path}")
        self._restarting[task] = group
        task.add_done_callback(lambda done: self._restarting.pop(done, None))


async def _restart(group: list[ActorRef[Any]], delay_s: float, error: BaseException | None) -> None:
    for ref in reversed(group):
        life = ref._get_life()
        if ref._restart is Restart.TEMPORARY:
            life.terminate(error)
        else:
            life.close(error)
        await life.wait_closed()
    if delay_s:
        await asyncio.sleep(delay_s)
    for ref in group:
        if not ref._get_life().begin():
            break  # its failure has begun another restart of those that are left


async def _stop(ref: ActorRef[Any], limit_s: float) -> None:
    """Stop an actor after the message at hand, or, when that takes too long, during it."""
    ref.stop()
    if not ref.alive:
        return
    try:
        async with asyncio.timeout(limit_s):
            await ref.join()
    except TimeoutError:
        log.warning("actor_killed", actor=ref.path, after_s=limit_s)
        ref.kill()
        await ref.join()
