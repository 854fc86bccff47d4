"""Actors whose mailbox is bounded, and those who wait for room in it."""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

from fedactors.errors import MailboxFull
from fedactors.runtime.message import Request
from fedactors.runtime.ref import ActorRef
from fedactors.runtime.reply import Reply, promise
from fedactors.runtime.supervisor import Restart

if TYPE_CHECKING:
    from fedactors.runtime.actor import Actor
    from fedactors.runtime.system import ActorSystem

M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")


class BoundedRef(ActorRef[M_contra]):
    """An actor with at most `capacity` messages in its mailbox; signals, timers and outcomes of its own do not count.

    Senders that wait are let in together, in their order, once the mailbox is half empty: one wake-up for many.
    """

    __slots__ = ("_capacity",)

    def __init__(
        self,
        system: ActorSystem,
        factory: Callable[[], Actor[Any]],
        parent: ActorRef[Any] | None,
        name: str | int,
        restart: Restart,
        capacity: int,
    ) -> None:
        assert capacity >= 1, f"a mailbox holds at least one message, not {capacity}"
        super().__init__(system, factory, parent, name, restart)
        self._capacity = capacity
        self._waiting: deque[tuple[Future[Any], Any]] = deque()

    def _has_room(self) -> bool:
        mailbox = self._mailbox
        return mailbox is None or (len(mailbox) < self._capacity and not self._waiting)

    @override
    def tell(self, message: M_contra) -> None:
        mailbox = self._mailbox
        if mailbox is None or (len(mailbox) < self._capacity and not self._waiting):
            self._post(message)
        else:
            raise MailboxFull(f"{self.path} has {len(mailbox)} of {self._capacity} messages queued; use send() to wait for room")

    @override
    async def send(self, message: M_contra) -> None:
        mailbox = self._mailbox
        if mailbox is None or (len(mailbox) < self._capacity and not self._waiting):
            self._post(message)
        else:
            room = promise(self._queue)
            self._waiting.append((room, message))
            await room

    @override
    def _put_ask(self, reply: Reply[Any]) -> None:
        if self._has_room():
            super()._put_ask(reply)
        else:
            self._waiting.append((reply, reply))

    @override
    def _admit(self) -> None:
        mailbox, waiting = self._mailbox, self._waiting
        room = self._capacity - len(mailbox or ())
        if mailbox is None or room * 2 < self._capacity:
            return
        while waiting and room > 0:
            sender, entry = waiting.popleft()
            if not sender.done():  # else it has given up
                room -= 1
                mailbox.append(entry)
                if sender is not entry:
                    sender.set_result(None)


class CheckedRef(BoundedRef[M_contra]):
    """For tests: an actor whose messages are looked at when they are sent."""

    __slots__ = ("_check",)

    def __init__(
        self,
        system: ActorSystem,
        factory: Callable[[], Actor[Any]],
        parent: ActorRef[Any] | None,
        name: str | int,
        restart: Restart,
        capacity: int,
        check: Callable[[Any], None],
    ) -> None:
        super().__init__(system, factory, parent, name, restart, capacity)
        self._check = check

    @override
    def tell(self, message: M_contra) -> None:
        self._check(message)
        super().tell(message)

    @override
    async def send(self, message: M_contra) -> None:
        self._check(message)
        await super().send(message)

    @override
    def ask(self, message: Request[R], timeout_s: float | None = None) -> Future[R]:
        self._check(message)
        return super().ask(message, timeout_s)
