"""The address of an actor - and the actor's cell: one object, so that telling is one append.

An idle actor is `_mailbox is None`: no deque, no task. A deque means that the actor is busy, or ready, or being (re)started; a
`Grave` that it is gone. Whoever takes it from None to a deque also sees to it that the actor gets a turn.
"""

from __future__ import annotations

from asyncio import CancelledError, Future
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fedactors.errors import ActorError, Rejected
from fedactors.log import get_logger
from fedactors.runtime.life import Life, Phase
from fedactors.runtime.mailbox import Grave
from fedactors.runtime.message import Request, Stop
from fedactors.runtime.reply import Deferred, Reply
from fedactors.runtime.runner import Runner
from fedactors.runtime.supervisor import Restart
from fedactors.runtime.trace import RECENT, ActorStatistics, slow_turn

if TYPE_CHECKING:
    from fedactors.runtime.actor import Actor
    from fedactors.runtime.handlers import HandlerTable
    from fedactors.runtime.system import ActorSystem

M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")

log = get_logger("fedactors.runtime")

SLOW_S = 0.1
"""A turn that keeps the loop for longer is worth a line in the log."""


class ActorRef(Generic[M_contra]):
    """Where messages to one actor go. Stays valid while the actor is restarted; may be put into messages and compared."""

    __slots__ = (
        "__weakref__",
        "_actor",
        "_asked",
        "_factory",
        "_handler_s",
        "_handlers",
        "_life",
        "_mailbox",
        "_messages",
        "_name",
        "_parent",
        "_queue",
        "_recent",
        "_restart",
        "_runner",
        "_starting",
        "_system",
        "_wait_s",
        "_waiting",
        "_woken_s",
    )

    def __init__(
        self,
        system: ActorSystem,
        factory: Callable[[], Actor[Any]],
        parent: ActorRef[Any] | None,
        name: str | int,
        restart: Restart,
    ) -> None:
        self._system = system
        self._queue = system._queue
        self._factory = factory
        self._parent = parent
        self._name = name
        self._restart = restart
        self._mailbox: deque[Any] | None = None
        self._actor: Actor[Any] | None = None
        self._handlers: HandlerTable
        self._runner: Runner | None = None
        self._life: Life | None = None
        self._asked: Reply[Any] | None = None  # the ask at hand, while its answer is the handler's to give
        self._waiting: deque[tuple[Future[Any], Any]] | None = None  # senders that wait for room in a bounded mailbox
        self._recent: list[type | None] | None = None
        self._starting = False
        self._messages = 0
        self._woken_s = self._wait_s = self._handler_s = 0.0

    # --------------------------------------------------------------------------------------------------------------- messages

    def tell(self, message: M_contra) -> None:
        """Send a message; never waits. To an actor that is gone: a dead letter.

        Raises:
            MailboxFull: the mailbox is bounded and has no room.
        """
        mailbox = self._mailbox
        if mailbox is not None:
            mailbox.append(message)
            return
        self._mailbox = deque((message,))
        queue = self._queue
        if not queue.awake:
            queue.rouse()
        self._woken_s = queue.now
        queue.ready.append(self)

    def _post(self, entry: Any) -> None:
        """Put an entry into the mailbox, whatever its bound."""
        ActorRef.tell(self, entry)

    async def send(self, message: M_contra) -> None:
        """Send a message, waiting for room where the mailbox is bounded. Cancelled, it has not been sent."""
        self._post(message)

    def ask(self, message: Request[R], timeout_s: float | None = None) -> Future[R]:
        """Send a request; the future of its answer. Cancelled before the actor begins with it, it vanishes.

        The future fails with what the handler raised, with AskTimeout, AskCycle, Unhandled, or with ActorStopped.
        """
        reply: Reply[R] = Reply(loop=self._queue.loop)
        reply._queue, reply._wake, reply.waiter = self._queue, None, None
        reply.message, reply.target = message, self
        if timeout_s is not None:
            reply.expire_after(timeout_s)
        self._put_ask(reply)
        return reply

    def _put_ask(self, reply: Reply[Any]) -> None:
        queue = self._queue
        if self._mailbox is None and queue.inline and (now := queue.stopwatch()) < queue.slice_end_s:
            queue.inline -= 1
            queue.now = self._woken_s = now
            self._mailbox = deque((reply,))  # the actor is idle: it takes its turn on the asker's stack
            self._turn()
        else:
            self._post(reply)

    def _signal(self, signal: Stop) -> None:
        """Put a signal before everything that is queued."""
        if self._mailbox is None:
            self._post(signal)
        else:
            self._mailbox.appendleft(signal)

    # -------------------------------------------------------------------------------------------------------------- life, seen

    def stop(self, drain: bool = False) -> None:
        """Stop the actor for good after the message at hand; with `drain`, after all that is queued by now.

        What is left then is dead letters, and asks fail with ActorStopped.
        """
        life = self._life
        if life is not None and life.phase is not Phase.RUNNING:
            life.terminate(None)
        elif self._mailbox is None:
            self._get_life().terminate(None, at_once=True)
        elif drain:
            self._mailbox.append(Stop(own=False))
        else:
            self._signal(Stop(own=False))

    def kill(self) -> None:
        """Stop the actor for good, now: a suspended handler is cancelled, and so are those of its children."""
        if self.alive:
            self._get_life().kill()

    async def join(self) -> None:
        """Wait until the actor has stopped and `stopped()` is done."""
        if self.alive:
            await self._get_life().wait_over()

    @property
    def alive(self) -> bool:
        """It has not stopped; it may be in the course of a restart."""
        return self._mailbox.__class__ is not Grave

    @property
    def name(self) -> str:
        """Its own part of the path."""
        return self._name if isinstance(self._name, str) else f"${self._name}"

    @property
    def path(self) -> str:
        """Where it stands in the tree, as in "/controller/learner-3"."""
        parent = self._parent
        return "/" if parent is None else f"{parent.path if parent._parent is not None else ''}/{self.name}"

    def statistics(self) -> ActorStatistics:
        """What it has done so far."""
        restarts = self._life.restarts if self._life is not None else 0
        return ActorStatistics(self.path, self._messages, len(self._mailbox or ()), self._wait_s, self._handler_s, restarts)

    def __repr__(self) -> str:
        return f"<ActorRef {self.path}{'' if self.alive else ' (stopped)'}>"

    def _get_life(self) -> Life:
        """All that an actor without children, timers, watchers and failures does without."""
        if self._life is None:
            self._life = Life(self)
        return self._life

    # ----------------------------------------------------------------------------------------------------------------- running

    def _start(self) -> None:
        """Make an instance and let it go on with the mailbox. Raises what the factory raises."""
        self._actor = actor = self._factory()
        actor.ref = self
        self._handlers = actor._handlers()
        held = self._mailbox
        if held is None:
            self._mailbox = held = deque()  # nothing is handled before started() is done
        self._starting = True
        try:
            starting = actor.started()
        except Exception as error:
            self._fail(error)
            return
        if starting is not None and self._mailbox is held:
            self._run(starting if isinstance(starting, Coroutine) else _wait_for(starting))
            return
        self._starting = False
        if self._mailbox is held:
            self._go_on()

    def _turn(self) -> None:
        work = self._batch()
        if work is not None:
            self._run(work)

    def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine as the actor's task."""
        runner = self._runner
        if runner is None:
            self._runner = runner = Runner(self)
        try:
            finished = runner.first_step(work)
        except (Exception, CancelledError) as error:
            finished = True
            if self._runner is runner:
                self._fail(error)
        seconds = self._queue.read_clock() - runner.begun_s
        if seconds > SLOW_S:
            slow_turn(self, seconds)
        if finished and self._runner is runner:
            self._handler_s += seconds
            self._go_on()

    def _batch(self) -> CoroutineType[Any, Any, Any] | None:
        """Handle what is queued, up to a bound; the coroutine of the first handler that is one, for the actor's own task."""
        mailbox, actor, handlers, queue = self._mailbox, self._actor, self._handlers, self._queue
        assert mailbox is not None
        recent = self._recent
        if recent is None:
            self._recent = recent = [None] * RECENT
        begun = queue.now
        self._wait_s += begun - self._woken_s
        number = self._messages
        last = number + queue.batch
        work: CoroutineType[Any, Any, Any] | None = None
        try:
            while mailbox and number != last:
                message = mailbox.popleft()
                kind = message.__class__
                recent[number % RECENT] = kind if kind is not Reply else message.message.__class__
                number += 1
                result = handlers[kind](actor, message)
                if result is not None:
                    if result.__class__ is CoroutineType:
                        work = result
                        break
                    if kind is Stop:
                        self._messages = number
                        self._get_life().obey(message)
                        break
        except (Exception, CancelledError) as error:
            self._messages = number
            self._fail(error)
        self._messages = number
        queue.now = now = queue.stopwatch()
        self._handler_s += now - begun
        if now - begun > SLOW_S:
            slow_turn(self, now - begun)
        if mailbox is not self._mailbox:  # this instance has been ended meanwhile
            if work is not None:
                work.close()
            return None
        if self._waiting:
            self._admit()
        if work is None:
            if mailbox:
                self._woken_s = now
                queue.add(self)
            else:
                self._mailbox = None
        return work

    def _go_on(self) -> None:
        """Wait for the next turn, or be idle."""
        if self._waiting:
            self._admit()
        if self._mailbox:
            self._woken_s = self._queue.now
            self._queue.add(self)
        else:
            self._mailbox = None

    def _admit(self) -> None:
        """Let senders in that wait for room; see BoundedRef."""

    def _reply(self, result: Any) -> None:
        """A coroutine handler has returned."""
        asked, self._asked = self._asked, None
        self._starting = False
        if asked is not None and not asked.done():
            asked.set_result(result)

    def _defer(self) -> Deferred[Any]:
        asked, self._asked = self._asked, None
        if asked is not None:
            self._get_life().defer(asked)
        return Deferred(asked)

    def _fail(self, error: BaseException) -> None:
        """A handler has raised: its asker hears of it, and so does the supervisor, unless it is a declared answer."""
        if not isinstance(error, Exception) or isinstance(error, StopIteration):
            error = ActorError(f"{self.path}: a handler raised {type(error).__name__}, which is not its to raise")
        asked, self._asked = self._asked, None
        if asked is not None and not asked.done():
            asked.set_exception(error)
        if self._starting or not isinstance(error, Rejected):
            self._get_life().fail(error)
        elif asked is None:
            log.info("rejected_unheard", actor=self.path, error=str(error))


async def _wait_for(awaitable: Awaitable[None]) -> None:
    await awaitable
