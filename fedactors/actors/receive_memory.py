"""Memory for uploads that several federations share, so that none starves another. Pure.

    bytes_max = common half + reserved half;  a party's reserve = reserved half / number of parties

What a party takes within its reserve is there at once, whatever the others do. What goes beyond comes from the common half, in
turn: who finds none stands in line, and while somebody does, nobody else takes of it. So one with a huge model uses what is idle,
takes turns with others like it, and cannot touch what the small ones need. No model may be larger than the common half, which is
what a party can always get by waiting.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextvars import copy_context

from typing_extensions import override

from fedactors.actors.room import Room


class ReceiveMemory:
    """So many bytes, who has how many, and who stands in line for the common half.

    Attributes:
        bytes_max: of all uploads that are under way or wait for another attempt, >= 2.
    """

    def __init__(self, bytes_max: int) -> None:
        assert bytes_max >= 2, f"bytes_max = {bytes_max} has no halves"
        self.bytes_max = bytes_max
        self._held: dict[SharedRoom, int] = {}
        self._line: OrderedDict[SharedRoom, int] = OrderedDict()  # by what each wants

    @property
    def common(self) -> int:
        """Bytes of the common half."""
        return self.bytes_max // 2

    @property
    def reserve(self) -> int:
        """Bytes that are kept for each party."""
        return (self.bytes_max - self.common) // max(len(self._held), 1)

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        return sum(self._held.values())

    def enter(self) -> SharedRoom:
        """One more party. The others' reserves shrink; what they have beyond counts as taken from the common half."""
        room = SharedRoom(self)
        self._held[room] = 0
        return room

    def leave(self, room: SharedRoom) -> None:
        """A party is gone, with all that it has and wants. Idempotent."""
        self._held.pop(room, None)
        self._line.pop(room, None)
        self._call()

    def take(self, room: SharedRoom, nbytes: int) -> bool:
        """See `Room`."""
        if room not in self._held:
            return False
        if not self._fits(room, nbytes):
            self._line[room] = nbytes
            return False
        self._held[room] += nbytes
        if self._line.pop(room, None) is not None:
            self._call()
        return True

    def give(self, room: SharedRoom, nbytes: int) -> None:
        """See `Room`."""
        if room in self._held:
            self._held[room] = max(self._held[room] - nbytes, 0)
            self._call()

    def withdraw(self, room: SharedRoom) -> None:
        """See `Room`."""
        if self._line.pop(room, None) is not None:
            self._call()

    def held(self, room: SharedRoom) -> int:
        """Bytes that a party has taken."""
        return self._held.get(room, 0)

    def _fits(self, room: SharedRoom, nbytes: int) -> bool:
        if self.used + nbytes > self.bytes_max:
            return False
        after, reserve = self._held[room] + nbytes, self.reserve
        if after <= reserve:
            return True
        if self._line and next(iter(self._line)) is not room:
            return False
        others = sum(max(held - reserve, 0) for other, held in self._held.items() if other is not room)
        return others + after - reserve <= self.common

    def _call(self) -> None:
        for room, nbytes in self._line.items():
            if self._fits(room, nbytes):
                room.wake()


class SharedRoom(Room):
    """One party's part.

    Attributes:
        wake: is called when what was not there may be.
    """

    def __init__(self, memory: ReceiveMemory) -> None:
        self.bytes_max = memory.common
        self.wake: Callable[[], None] = _nobody_waits
        self._memory = memory

    @override
    def take(self, nbytes: int) -> bool:
        return self._memory.take(self, nbytes)

    @override
    def give(self, nbytes: int) -> None:
        self._memory.give(self, nbytes)

    @override
    def withdraw(self) -> None:
        self._memory.withdraw(self)

    @override
    def clear(self) -> None:
        self.withdraw()
        self.give(self._memory.held(self))

    @override
    def call(self, wake: Callable[[], None]) -> None:
        context = copy_context()  # of this federation; it is called in that of whichever has given memory back
        self.wake = lambda: context.copy().run(wake)


def _nobody_waits() -> None:
    """Until an aggregator says whom to call."""
