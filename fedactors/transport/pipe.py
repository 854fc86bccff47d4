"""A bounded queue of frames between one producer and one consumer, with an end that is either good or bad."""

from __future__ import annotations

import asyncio

from fedactors.errors import AccessDenied, EndOfStream, StreamClosed
from fedactors.transport.base import Frame


class Pipe:
    """Frames in order, at most `frames_max` of them at a time.

    `finish` and `fail` let the consumer take what is left, then tell it of the end; `cut` drops what is left. The first end
    stays, but that a cut also ends what had only finished. Every wait can be cancelled and loses no frame by it.
    """

    __slots__ = ("_end", "_frames", "_frames_max", "_getter", "_putter")

    def __init__(self, frames_max: int) -> None:
        self._frames: list[Frame] = []  # a deque takes ten times the memory, in each of thousands of idle streams
        self._frames_max = frames_max
        self._end: StreamClosed | None = None
        self._getter: asyncio.Future[None] | None = None
        self._putter: asyncio.Future[None] | None = None

    @property
    def is_over(self) -> bool:
        """Nothing more can be put in."""
        return self._end is not None

    @property
    def has_room(self) -> bool:
        """Another frame can be put in at once."""
        return len(self._frames) < self._frames_max

    def push(self, frame: Frame) -> None:
        """Append a frame, room or not, for a producer that cannot wait; dropped when the pipe is over."""
        if self._end is None:
            self._frames.append(frame)
            _wake(self._getter)

    async def put(self, frame: Frame) -> None:
        """Append a frame, when there is room.

        Raises:
            StreamClosed: the pipe is over.
        """
        while len(self._frames) >= self._frames_max and self._end is None:
            self._putter = asyncio.get_running_loop().create_future()
            await self._putter
        if self._end is not None:
            raise (AccessDenied if isinstance(self._end, AccessDenied) else StreamClosed)(str(self._end))
        self._frames.append(frame)
        _wake(self._getter)

    async def get(self) -> Frame:
        """Take the oldest frame.

        Raises:
            EndOfStream: there is none, and the end was good.
            StreamClosed: there is none, and the end was bad.
        """
        while not self._frames:
            if self._end is not None:
                raise type(self._end)(str(self._end))
            self._getter = asyncio.get_running_loop().create_future()
            await self._getter
        frame = self._frames.pop(0)
        _wake(self._putter)
        return frame

    def finish(self) -> None:
        """Nothing more will be put in, and that is well."""
        self._close(EndOfStream("the peer has finished"))

    def fail(self, why: str, kind: type[StreamClosed] = StreamClosed) -> None:
        """Nothing more will be put in; what is there was whole."""
        self._close(kind(why))

    def cut(self, why: str, kind: type[StreamClosed] = StreamClosed) -> None:
        """End at once."""
        if self._end is None or isinstance(self._end, EndOfStream):
            self._end = None
            self._frames.clear()
            self._close(kind(why))

    def _close(self, end: StreamClosed) -> None:
        if self._end is None:
            self._end = end
            _wake(self._getter)
            _wake(self._putter)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
