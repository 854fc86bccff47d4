"""A bad network on a real socket: a proxy between a client and its target that delays, throttles, swallows, cuts and freezes.

    plan = only({0: Faults(up=Direction(end_at=70_000, ending=Ending.RESET))})
    async with FaultyWire(Address.parse("grpc://127.0.0.1:4450"), plan, seed=7) as wire:
        client = LearnerClient(learner, "anna", GrpcTransport().connect(wire.address))
        ...
        assert wire.statistics.bytes_up > 70_000

TCP stands in for TCP, a Unix socket for a Unix socket. It knows nothing of what passes through. Each direction of a connection
holds at most QUEUED_BYTES_MAX; what does not fit stays with its sender, as on a real network. What befalls a connection follows
from the plan, its number and the seed alone; how the bytes are cut into pieces does not.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, assert_never

from fedactors.testing.faults import UNHARMED, Direction, Ending, Faults, Plan
from fedactors.transport import Address

PIECE_BYTES = 16 * 1024
"""Read at a time, at most."""
QUEUED_BYTES_MAX = 64 * PIECE_BYTES
"""On their way in one direction of a connection, beside what the two sockets hold."""
BACKLOG = 4096
"""Connections that wait to be accepted: thousands of clients may come at once."""
SOCKET_BYTES = 64 * 1024
"""A throttled connection's socket buffers: large ones would make a slow network look fast to a sender."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, no time: closing resets."""
TALLIED = ("refused", "endings", "bytes_up", "bytes_down", "bytes_swallowed")


@dataclass(frozen=True, slots=True)
class WireStatistics:
    """What a wire has seen so far.

    Attributes:
        connections: that clients made, the refused ones too.
        refused: of these.
        alive: connections that are there now.
        endings: directions that came to their planned ending.
        bytes_up: handed on to the target.
        bytes_down: handed on to clients.
        bytes_swallowed: in black holes, both ways.
    """

    connections: int
    refused: int
    alive: int
    endings: int
    bytes_up: int
    bytes_down: int
    bytes_swallowed: int


class FaultyWire:
    """Listens at `address` and leads each connection on to `target`, as the plan says; see the module.

    It owns every task and socket of its connections; they end with the `async with` block.

    Attributes:
        target: where connections lead; may be changed: it counts for connections to come.
        address: where it listens: of the target's scheme. Set once it is entered.
    """

    def __init__(self, target: Address, plan: Plan = UNHARMED, *, seed: int = 0) -> None:
        """Prepare it.

        Args:
            target: host:port, or the absolute path of a Unix socket, of any scheme.
            plan: what befalls which connection.
            seed: of the plan's chance and of the jitter.
        """
        self.target = target
        self.address = target
        self._plan = plan
        self._seed = seed
        self._links: dict[asyncio.Task[None], _Link] = {}
        self._connections = 0
        self._refuses_until_s = 0.0
        self._tally = Counter[str]()
        self._moving = asyncio.Event()
        self._moving.set()
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            if self.target.place.startswith("/"):
                path = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="wire-"))) / "wire.sock"
                server = await asyncio.start_unix_server(self._connected, path, limit=PIECE_BYTES, backlog=BACKLOG)
                self.address = Address(self.target.scheme, str(path))
            else:
                server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=PIECE_BYTES, backlog=BACKLOG)
                self.address = Address(self.target.scheme, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
            exits.push_async_callback(self._end_links)
            exits.callback(server.close)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._exits.aclose()

    # ------------------------------------------------------------------------------------------------------------ in the middle

    @property
    def statistics(self) -> WireStatistics:
        """The counts so far."""
        return WireStatistics(
            connections=self._connections, alive=len(self._links), **{name: self._tally[name] for name in TALLIED}
        )

    def freeze(self) -> None:
        """From now on no byte moves, either way, and nobody is told. Idempotent."""
        self._moving.clear()

    def thaw(self) -> None:
        """What was held up goes on. Idempotent."""
        self._moving.set()

    def refuse_for(self, seconds: float) -> None:
        """Reset whoever connects within this time."""
        self._refuses_until_s = asyncio.get_running_loop().time() + seconds

    def cut_all(self, ending: Ending = Ending.RESET) -> None:
        """End every connection that there is now: by a reset, or in good order."""
        assert ending in (Ending.RESET, Ending.CLOSE), f"{ending} ends one direction, not a connection"
        for link in list(self._links.values()):
            link.end(ending)

    # -------------------------------------------------------------------------------------------------------------- connections

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self._connections = self._connections, self._connections + 1
        rng = random.Random(f"{self._seed} {number}")  # noqa: S311  # chance that can be repeated
        faults = self._plan(number, rng)
        if faults.refused or asyncio.get_running_loop().time() < self._refuses_until_s:
            self._tally["refused"] += 1
            _reset(writer)
            return
        link = _Link(faults, rng, self._tally, self._moving)
        task = asyncio.get_running_loop().create_task(link.serve(reader, writer, self.target), name=f"wire {number}")
        self._links[task] = link
        task.add_done_callback(self._links.pop)

    async def _end_links(self) -> None:
        tasks = list(self._links)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Link:
    """One connection and its continuation to the target."""

    def __init__(self, faults: Faults, rng: random.Random, tally: Counter[str], moving: asyncio.Event) -> None:
        self._faults = faults
        self._up = _Way(self, faults.up, rng, "bytes_up")
        self._down = _Way(self, faults.down, rng, "bytes_down")
        self.tally = tally
        self.moving = moving
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Address) -> None:
        """Move bytes until both directions have ended, or one of them has taken the connection with it."""
        self._writers.append(writer)
        ending = Ending.RESET
        try:
            onward_reader, onward_writer = await _connect(target)
            self._writers.append(onward_writer)
            self._tighten()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._up.move(reader, onward_writer))
                group.create_task(self._down.move(onward_reader, writer))
            ending = Ending.CLOSE
        except* OSError:  # one of the sides is gone, or was planned to go: so goes the other
            pass
        finally:
            self.end(ending)

    def end(self, ending: Ending) -> None:
        """End both sides. Idempotent; the first ending stays."""
        writers, self._writers = self._writers, []
        for writer in writers:
            if ending is Ending.RESET:
                _reset(writer)
            else:
                writer.close()

    def _tighten(self) -> None:
        if self._faults.up.bytes_per_s is not None or self._faults.down.bytes_per_s is not None:
            for writer in self._writers:
                for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, SOCKET_BYTES)


class _Way:
    """One direction of a link, at work."""

    def __init__(self, link: _Link, direction: Direction, rng: random.Random, name: str) -> None:
        self._link = link
        self._direction = direction
        self._rng = rng
        self._name = name
        self._moved_bytes = 0
        self._free_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_BYTES_MAX // PIECE_BYTES)

    async def move(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """To the end of file, or to the planned ending."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_in(reader))
            group.create_task(self._hand_on(writer))

    async def _take_in(self, reader: asyncio.StreamReader) -> None:
        """Every piece, with the time when it is due on the other side; an empty one is the end."""
        due_s = 0.0
        while True:
            piece = await reader.read(PIECE_BYTES)
            under_way_s = self._direction.delay_s + self._rng.uniform(0.0, self._direction.jitter_s)
            due_s = max(due_s, self._loop.time() + under_way_s)
            await self._pieces.put((due_s, piece))
            if not piece:
                return

    async def _hand_on(self, writer: asyncio.StreamWriter) -> None:
        while piece := await self._next():
            passing = piece[: self._passing_bytes(len(piece))]
            await self._write(writer, passing)
            if self._moved_bytes == self._direction.end_at:
                self._link.tally["endings"] += 1
                await self._come_to_ending(writer, len(piece) - len(passing))
                return
        _half_close(writer)

    async def _next(self) -> bytes:
        """The next piece, when it is due, the direction is free and nothing is frozen."""
        due_s, piece = await self._pieces.get()
        await asyncio.sleep(max(due_s, self._free_s) - self._loop.time())
        await self._link.moving.wait()
        return piece

    def _passing_bytes(self, piece_bytes: int) -> int:
        end_at = self._direction.end_at
        return piece_bytes if end_at is None else min(piece_bytes, end_at - self._moved_bytes)

    async def _write(self, writer: asyncio.StreamWriter, passing: bytes) -> None:
        writer.write(passing)
        self._moved_bytes += len(passing)
        self._link.tally[self._name] += len(passing)
        if (bytes_per_s := self._direction.bytes_per_s) is not None:
            self._free_s = max(self._free_s, self._loop.time()) + len(passing) / bytes_per_s
        await writer.drain()

    async def _come_to_ending(self, writer: asyncio.StreamWriter, rest_bytes: int) -> None:
        match self._direction.ending:
            case Ending.RESET:
                raise ConnectionResetError("as planned")
            case Ending.CLOSE:
                self._link.end(Ending.CLOSE)
                return
            case Ending.HALF_CLOSE:
                _half_close(writer)
            case Ending.SWALLOW:
                pass
            case unknown:
                assert_never(unknown)
        await self._swallow(rest_bytes)

    async def _swallow(self, rest_bytes: int) -> None:
        self._link.tally["bytes_swallowed"] += rest_bytes
        while piece := (await self._pieces.get())[1]:
            self._link.tally["bytes_swallowed"] += len(piece)


async def _connect(target: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if target.place.startswith("/"):
        return await asyncio.open_unix_connection(target.place, limit=PIECE_BYTES)
    host, _, port = target.place.rpartition(":")
    return await asyncio.open_connection(host.strip("[]"), int(port), limit=PIECE_BYTES)


def _half_close(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the peer is gone
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock.family != socket.AF_UNIX and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
