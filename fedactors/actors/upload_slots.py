"""Who may receive a model now. Pure: wishes in, loans out.

A place is the memory of one model. There are as many quick places as there may be uploads at a time, and as many slow ones. An
upload takes a quick place; one that is overdue while others wait moves to a slow place, and keeps its buffer. A learner whose
upload was overdue begins on the slow side from then on, until it was in time again. So the quick do not wait for those who are
known to be slow, however many these are, and at most twice the memory is taken.

An upload that was interrupted is parked: it takes no place, and its bytes are kept for its next attempt for as long as nobody
needs the memory. Where several federations share the memory for uploads, a place is of use only with so much of it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TypeAlias

from fedactors.actors.room import BOUNDLESS, Room
from fedactors.actors.spill import Held, Spill, Spills
from fedactors.errors import Rejected, UpdateRefused
from fedactors.model import LearnerId
from fedactors.protocol import BufferPool
from fedactors.runtime import Deferred
from fedactors.task import Refusal, TaskId

PATIENCE_S = 2.0
"""An upload is overdue after this time and what its bytes take at SLOW_BYTES_PER_S."""
SLOW_BYTES_PER_S = 10_000_000.0

UploadId: TypeAlias = tuple[TaskId, bytes]
"""The task that it answers, and the name that the learner gave to these very bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Loan:
    """What to receive a model into.

    Attributes:
        buffer: uint8[nbytes], or a spill of as many; the borrower's until it is given back.
        received_bytes: that are in it already, from an interrupted attempt of the same upload.
    """

    buffer: Held
    received_bytes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """Somebody wants to receive a model.

    Attributes:
        learner: whose upload it is; empty: a driver's.
        nbytes: of the model.
        upload: which upload it is; None: one that cannot go on where an earlier attempt ended.
        reply: where the loan goes.
        in_memory: into a buffer, although others receive into spills.
    """

    learner: LearnerId
    nbytes: int
    upload: UploadId | None
    reply: Deferred[Loan]
    in_memory: bool = False


@dataclass(slots=True)
class _Place:
    """A place that is taken.

    Attributes:
        learner: by whom.
        buffer: lent.
        due_s: when the upload is overdue, by the aggregator's clock.
        slow: on which side it is.
    """

    learner: LearnerId
    buffer: Held
    due_s: float
    slow: bool


class UploadSlots:
    """The places, who has one and who waits for one. Buffers come from a pool and go back to it; with spills, so do they."""

    def __init__(self, places: int, pool: BufferPool, room: Room = BOUNDLESS, spills: Spills | None = None) -> None:
        self._pool = pool
        self._spills = spills
        self._room = room
        self._places = places
        self._free = {False: places, True: places}  # by whether they are slow
        self._taken: dict[int, _Place] = {}  # by the buffer's identity, the oldest first
        self._waiting: dict[bool, deque[Wish]] = {False: deque(), True: deque()}
        self._parked: OrderedDict[UploadId, Loan] = OrderedDict()
        self._slow: set[LearnerId] = set()

    @property
    def lent(self) -> int:
        """Buffers that are lent."""
        return len(self._taken)

    def wish(self, wish: Wish) -> None:
        """Wait for a place; `next` says when there is one."""
        self._waiting[wish.learner in self._slow].append(wish)

    def next(self, now_s: float) -> tuple[Wish, Loan] | None:
        """A wish that can be fulfilled, and with what; None if all have to wait. What nobody waits for any more is dropped."""
        for slow, waiting in self._waiting.items():
            while waiting and self._free[slow]:
                wish = waiting[0]
                if wish.reply.done() or self._refused(wish):
                    waiting.popleft()
                    continue
                if not self._has_room(wish):
                    return None  # nor is there for anybody else's model, which is as large
                waiting.popleft()
                try:
                    return wish, self._lend(wish, slow, now_s)
                except MemoryError:
                    self._room.give(self._memory(wish))
                    wish.reply.reject(Rejected(f"there is no memory here for a model of {wish.nbytes:,} bytes"))
                except OSError as error:
                    self._room.give(self._memory(wish))
                    wish.reply.reject(Rejected(f"there is no place here for an update of {wish.nbytes:,} bytes: {error}"))
        self._room.withdraw()
        return None

    def _refused(self, wish: Wish) -> bool:
        most = self._room.bytes_max
        if most is None or self._memory(wish) <= most:
            return False
        said = f"a model of {wish.nbytes:,} bytes is more than half of what the federations of this process share for uploads"
        remedy = f"have it serve with --memory-bytes {2 * wish.nbytes} or more"
        wish.reply.reject(UpdateRefused(Refusal.LAYOUT, f"{said}: {remedy}"))  # trying again would change nothing
        return True

    def _has_room(self, wish: Wish) -> bool:
        """Take the memory for a wish, if need be from interrupted uploads; one that goes on has its memory."""
        while wish.upload not in self._parked and not self._room.take(self._memory(wish)):
            if not self._parked:
                return False
            self.drop(next(iter(self._parked)))
        return True

    def _lend(self, wish: Wish, slow: bool, now_s: float) -> Loan:
        loan = self._parked.pop(wish.upload, None) if wish.upload is not None else None
        if loan is None:
            if len(self._taken) + len(self._parked) >= 2 * self._places:
                self.drop(next(iter(self._parked)))
            loan = Loan(self._taken_for(wish))
        self._free[slow] -= 1
        due_s = now_s + PATIENCE_S + wish.nbytes / SLOW_BYTES_PER_S
        self._taken[id(loan.buffer)] = _Place(wish.learner, loan.buffer, due_s, slow)
        return loan

    def _taken_for(self, wish: Wish) -> Held:
        spills = self._spills_for(wish)
        return self._pool.take(wish.nbytes) if spills is None else spills.take(wish.nbytes)

    def _spills_for(self, wish: Wish) -> Spills | None:
        return None if wish.in_memory else self._spills

    def _memory(self, wish: Wish) -> int:
        """Bytes that an upload takes here while it is under way."""
        spills = self._spills_for(wish)
        return wish.nbytes if spills is None else spills.window_bytes(wish.nbytes)

    def over(self, buffer: Held, now_s: float) -> bool:
        """An upload is over, and its buffer somebody else's; False if it was not lent here: by a former aggregator, then."""
        if not self._place_over(buffer, now_s):
            return False
        self._room.give(_memory_of(buffer))
        return True

    def _place_over(self, buffer: Held, now_s: float) -> bool:
        place = self._taken.pop(id(buffer), None)
        if place is None:
            return False
        self._free[place.slow] += 1
        (self._slow.discard if now_s <= place.due_s else self._slow.add)(place.learner)
        return True

    def park(self, upload: UploadId, loan: Loan, now_s: float) -> bool:
        """An upload was interrupted: keep what has come of it. False if its buffer was not lent here."""
        if not self._place_over(loan.buffer, now_s):
            return False
        self.drop(upload)
        self._parked[upload] = loan
        return True

    def drop(self, upload: UploadId) -> None:
        """An interrupted upload will not go on; there need not be one."""
        loan = self._parked.pop(upload, None)
        if loan is not None:
            self._room.give(_memory_of(loan.buffer))
            self._give(loan.buffer)

    def _give(self, held: Held) -> None:
        if not isinstance(held, Spill):
            self._pool.give(held)
        elif self._spills is not None:
            self._spills.give(held)

    # ------------------------------------------------------------------------------------------------------------------ the slow

    def overdue_s(self) -> float | None:
        """When `make_room` may help those who wait; None: nobody waits, or there is nowhere to move to."""
        if not self._waiting[False] or not self._free[True]:
            return None
        return min((place.due_s for place in self._taken.values() if not place.slow), default=None)

    def make_room(self, now_s: float) -> None:
        """Move what is overdue to the slow side, as far as there is room, if anybody waits."""
        for place in list(self._taken.values()):
            if self._waiting[False] and self._free[True] and not place.slow and place.due_s <= now_s:
                place.slow = True
                self._free[True] -= 1
                self._free[False] += 1

    def forget(self, learner: LearnerId) -> None:
        """A learner has left: nothing is known of its pace any more."""
        self._slow.discard(learner)


def _memory_of(held: Held) -> int:
    return held.window_bytes if isinstance(held, Spill) else held.nbytes
