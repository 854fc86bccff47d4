"""What does a message cost? Actors against asyncio.Queue and a task each, interleaved in one process.

    python benchmarks/mailbox.py [--smoke] [--json] [--repeat N]

Each row is a ratio: how many times as fast as the queue in the same turn, the median of all turns; above 1 is faster. Rates alone
say more about the machine. CPU time is measured, so that other programs disturb it less. Idle actors: how long a spawn takes, and
what it leaves in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import uvloop

from fedactors.runtime import Actor, ActorRef, ActorSystem, Request, handle

Measure = Callable[[int], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Note:
    """A message that is only told."""

    number: int


@dataclass(frozen=True, slots=True)
class Count(Request[int]):
    """Answered by a plain function."""


@dataclass(frozen=True, slots=True)
class SlowCount(Request[int]):
    """Answered by a coroutine function."""


@dataclass(frozen=True, slots=True)
class Serve:
    """Begin a match with that player."""

    to: ActorRef[Ball]
    strokes: int
    over: asyncio.Event


@dataclass(frozen=True, slots=True)
class Ball:
    """Goes to and fro."""


class Counter(Actor[Note | Count | SlowCount]):
    """Counts notes."""

    def __init__(self) -> None:
        self.count = 0

    @handle
    def note(self, message: Note) -> None:
        """One more."""
        self.count += 1

    @handle
    def get(self, message: Count) -> int:
        """How many."""
        return self.count

    @handle
    async def get_slowly(self, message: SlowCount) -> int:
        """How many, from a coroutine."""
        return self.count


class Player(Actor[Serve | Ball]):
    """Plays the ball back until the match is over."""

    @handle
    def serve(self, message: Serve) -> None:
        """Get ready."""
        self._to, self._left, self._over = message.to, message.strokes, message.over

    @handle
    def ball(self, message: Ball) -> None:
        """Play."""
        self._left -= 1
        if self._left:
            self._to.tell(BALL)
        else:
            self._over.set()


BALL = Ball()
NOTE = Note(1)


def rate(number: int, begun: float) -> float:
    """Things a second since then."""
    return number / (time.process_time() - begun)


# ------------------------------------------------------------------------------------------------------------------ the actors


async def tell(number: int) -> float:
    """Tell one actor, then wait until it is through."""
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        begun = time.process_time()
        for _ in range(number):
            ref.tell(NOTE)
        assert await ref.ask(Count()) == number
        return rate(number, begun)


async def ask_with(message: Request[int], number: int) -> float:
    """One task asks, one question after the other."""
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        begun = time.process_time()
        for _ in range(number):
            await ref.ask(message)
        return rate(number, begun)


async def ping_pong(number: int) -> float:
    """Two actors tell each other."""
    async with ActorSystem() as system:
        left, right = system.spawn(Player), system.spawn(Player)
        over = asyncio.Event()
        left.tell(Serve(right, number // 2, over))
        right.tell(Serve(left, number // 2, over))
        begun = time.process_time()
        left.tell(BALL)
        await over.wait()
        return rate(number, begun)


async def fan_in(number: int) -> float:
    """1,000 tasks tell one actor, each a few messages at a time."""
    async with ActorSystem() as system:
        ref = system.spawn(Counter)

        async def sender() -> None:
            for _ in range(number // 10_000):
                for _ in range(10):
                    ref.tell(NOTE)
                await asyncio.sleep(0)

        begun = time.process_time()
        await asyncio.gather(*(sender() for _ in range(1000)))
        await ref.ask(Count())
        return rate(number, begun)


async def bounded(number: int) -> float:
    """One task sends to an actor with a mailbox of 100."""
    async with ActorSystem() as system:
        ref = system.spawn(Counter, capacity=100)
        begun = time.process_time()
        for _ in range(number):
            await ref.send(NOTE)
        assert await ref.ask(Count()) == number
        return rate(number, begun)


# ------------------------------------------------------------------------------------------------------------------- the queue


class QueueCounter:
    """The same with a queue and a task."""

    def __init__(self, maxsize: int = 0) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)
        self.count = 0
        self.task = asyncio.get_running_loop().create_task(self.run())

    async def run(self) -> None:
        """Handle messages."""
        while True:
            message = await self.queue.get()
            if isinstance(message, Note):
                self.count += 1
            else:
                message.set_result(self.count)

    def ask(self) -> asyncio.Future[int]:
        """How many."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait(answer)
        return answer


async def queue_tell(number: int) -> float:
    """See `tell`."""
    counter = QueueCounter()
    begun = time.process_time()
    for _ in range(number):
        counter.queue.put_nowait(NOTE)
    assert await counter.ask() == number
    counter.task.cancel()
    return rate(number, begun)


async def queue_ask(number: int) -> float:
    """See `ask_with`."""
    counter = QueueCounter()
    begun = time.process_time()
    for _ in range(number):
        await counter.ask()
    counter.task.cancel()
    return rate(number, begun)


async def queue_ping_pong(number: int) -> float:
    """See `ping_pong`."""
    left, right = asyncio.Queue[int](), asyncio.Queue[int]()

    async def player(mine: asyncio.Queue[int], other: asyncio.Queue[int]) -> None:
        while (ball := await mine.get()) > 0:
            other.put_nowait(ball - 1)
        other.put_nowait(-1)

    begun = time.process_time()
    left.put_nowait(number)
    await asyncio.gather(player(left, right), player(right, left))
    return rate(number, begun)


async def queue_fan_in(number: int) -> float:
    """See `fan_in`."""
    counter = QueueCounter()

    async def sender() -> None:
        for _ in range(number // 10_000):
            for _ in range(10):
                counter.queue.put_nowait(NOTE)
            await asyncio.sleep(0)

    begun = time.process_time()
    await asyncio.gather(*(sender() for _ in range(1000)))
    await counter.ask()
    counter.task.cancel()
    return rate(number, begun)


async def queue_bounded(number: int) -> float:
    """See `bounded`."""
    counter = QueueCounter(100)
    begun = time.process_time()
    for _ in range(number):
        await counter.queue.put(NOTE)
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    await counter.queue.put(answer)
    assert await answer == number
    counter.task.cancel()
    return rate(number, begun)


# ----------------------------------------------------------------------------------------------------------- spawning, and idle


class Idle(Actor[Note]):
    """Has nothing to do."""

    @handle
    def note(self, message: Note) -> None:
        """Nothing."""


async def spawn_actors(number: int) -> tuple[float, float, float]:
    """Seconds and bytes for each idle actor, and bytes after its first message."""
    async with ActorSystem() as system:
        refs: list[ActorRef[Note] | None] = [None] * number
        gc.collect()
        begun = time.process_time()
        for index in range(number):
            refs[index] = system.spawn(Idle)
        seconds = time.process_time() - begun
    async with ActorSystem() as system:
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        refs = [system.spawn(Idle) for _ in range(number // 10)]
        idle, _ = tracemalloc.get_traced_memory()
        for ref in refs:
            assert ref is not None
            ref.tell(NOTE)
        await asyncio.sleep(1)
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return seconds / number, (idle - before) / (number // 10), (used - before) / (number // 10)


async def spawn_queues(number: int) -> tuple[float, float]:
    """Seconds and bytes for each idle queue with its task."""
    gc.collect()
    begun = time.process_time()
    counters = [QueueCounter() for _ in range(number)]
    await asyncio.sleep(0)
    seconds = time.process_time() - begun
    await end(counters)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    counters = [QueueCounter() for _ in range(number // 10)]
    await asyncio.sleep(0)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await end(counters)
    return seconds / number, (after - before) / (number // 10)


async def end(counters: list[QueueCounter]) -> None:
    """Cancel the tasks."""
    for counter in counters:
        counter.task.cancel()
    await asyncio.gather(*(counter.task for counter in counters), return_exceptions=True)
    counters.clear()


ROWS: dict[str, tuple[Measure, Measure, int]] = {
    "tell": (tell, queue_tell, 200_000),
    "ask, plain handler": (lambda number: ask_with(Count(), number), queue_ask, 30_000),
    "ask, coroutine handler": (lambda number: ask_with(SlowCount(), number), queue_ask, 30_000),
    "ping-pong": (ping_pong, queue_ping_pong, 50_000),
    "fan-in, 1,000 senders": (fan_in, queue_fan_in, 200_000),
    "bounded": (bounded, queue_bounded, 100_000),
}


def run(loop_factory: Callable[[], asyncio.AbstractEventLoop], main: Coroutine[Any, Any, Any]) -> Any:
    """On a fresh loop."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)


async def value_of(measure: Measure, number: int) -> float:
    """A measure as a coroutine."""
    gc.collect()
    return await measure(number)


def compare(loop_factory: Callable[[], asyncio.AbstractEventLoop], repeat: int, scale: float) -> dict[str, dict[str, float]]:
    """For each row the median rate of the actors and of the queue, and of the ratio of the two in one turn."""
    turns: dict[str, list[tuple[float, float]]] = {row: [] for row in ROWS}
    for _ in range(repeat):
        for row, (actors, queue, number) in ROWS.items():
            scaled = max(int(number * scale), 10_000)
            pair = run(loop_factory, value_of(actors, scaled)), run(loop_factory, value_of(queue, scaled))
            turns[row].append(pair)
    return {
        row: {
            "actors_per_s": statistics.median(actors for actors, _ in pairs),
            "queue_per_s": statistics.median(queue for _, queue in pairs),
            "ratio": statistics.median(actors / queue for actors, queue in pairs),
        }
        for row, pairs in turns.items()
    }


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few seconds: shows that it runs, not how fast")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--repeat", type=int, default=7, help="turns; the median of them counts")
    arguments = parser.parse_args()
    repeat, scale = (1, 0.1) if arguments.smoke else (arguments.repeat, 1.0)
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.new_event_loop,
        "uvloop": uvloop.new_event_loop,
    }
    result: dict[str, Any] = {name: compare(factory, repeat, scale) for name, factory in loops.items()}
    actor_s, idle, used = run(asyncio.new_event_loop, spawn_actors(int(100_000 * scale)))
    queue_s, queue_bytes = run(asyncio.new_event_loop, spawn_queues(int(100_000 * scale)))
    result["spawn"] = {
        "actor_us": actor_s * 1e6,
        "queue_us": queue_s * 1e6,
        "ratio": queue_s / actor_s,
        "actor_bytes_idle": idle,
        "actor_bytes_after_use": used,
        "queue_bytes": queue_bytes,
    }
    print(json.dumps(result, indent=2) if arguments.json else table(result))


def table(result: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{'times as fast as asyncio.Queue':32}{'asyncio':>10}{'uvloop':>10}{'messages/s':>14}{'queue':>14}"]
    for row in ROWS:
        plain, uv = result["asyncio"][row], result["uvloop"][row]
        rates = f"{plain['actors_per_s']:14,.0f}{plain['queue_per_s']:14,.0f}"
        lines.append(f"{row:32}{plain['ratio']:10.2f}{uv['ratio']:10.2f}{rates}")
    spawn = result["spawn"]
    lines.append(f"{'spawn':32}{spawn['ratio']:10.2f}{'':10}{spawn['actor_us']:11.2f} us{spawn['queue_us']:11.2f} us")
    sizes = f"{spawn['actor_bytes_idle']:.0f} B idle, {spawn['actor_bytes_after_use']:.0f} B after use"
    lines.append(f"{'memory of an actor':32}{sizes}; a queue with its task {spawn['queue_bytes']:.0f} B")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
