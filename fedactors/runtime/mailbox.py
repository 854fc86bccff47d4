"""Mailboxes that are not just a deque: a stopped actor's, and a bounded one with those who wait for room in it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from fedactors.runtime.message import Finished, Stop, Terminated, Tick
from fedactors.runtime.reply import Reply, refuse

if TYPE_CHECKING:
    from fedactors.runtime.ref import ActorRef


class Grave(deque[Any]):
    """The mailbox of an actor that is gone: what is put here is a dead letter, an ask is refused."""

    __slots__ = ("reason", "ref")

    def __init__(self, ref: ActorRef[Any], reason: BaseException | None) -> None:
        super().__init__()
        self.ref = ref
        self.reason = reason

    @override
    def append(self, entry: Any, /) -> None:
        if isinstance(entry, Reply):
            refuse(entry, "has stopped")
        elif not isinstance(entry, Stop | Tick | Finished | Terminated):
            self.ref._system._bury(entry, self.ref, "stopped")

    appendleft = append
