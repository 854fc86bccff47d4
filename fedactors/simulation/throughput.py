"""How many decisions a second? Scheduling protocols alone, fed as fast as they can decide; no actors, no tensors, no clock.

Every learner answers everything at once, in an order drawn at random. What is measured is `Schedule.handle`.
"""

from __future__ import annotations

import gc
import itertools
import random
import time
import tracemalloc
from collections import deque
from dataclasses import dataclass
from typing import assert_never

from fedactors.scheduling import base as on
from fedactors.scheduling.base import Protocol, Schedule, Terms
from fedactors.selection.base import Candidate, Selection
from fedactors.selection.everyone import Everyone
from fedactors.task import TrainReport

TAGS = frozenset({"fed"})
"""What every learner declares."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one measurement gave.

    Attributes:
        protocol: its name.
        learners: how many.
        events: that were handled, joins not counted.
        commands: that came of them.
        rounds: that were committed.
        seconds: of processor time that they took.
        bytes_per_learner: what the machine holds for each learner that has joined and has a task.
    """

    protocol: str
    learners: int
    events: int
    commands: int
    rounds: int
    seconds: float
    bytes_per_learner: float


class Feeder:
    """Plays the federation around a schedule: every command that asks for something is answered.

    Args:
        schedule: the machine.
        rng: draws who answers next.
        report: what every learner says of its training; None: nothing.
    """

    def __init__(self, schedule: Schedule, rng: random.Random, report: TrainReport | None = None) -> None:
        self._schedule = schedule
        self._rng = rng
        self._report = report
        self._version = 0
        self._next: deque[on.Event] = deque()
        self._due: list[on.Event] = []
        self.commands = self.events = self.rounds = 0

    def feed(self, event: on.Event) -> None:
        """Hand over one event, and note what is due because of it."""
        for command in self._schedule.handle(event, 0.0):
            self.commands += 1
            self._carry_out(command)

    def run(self, events: int) -> None:
        """Hand over so many events."""
        for _ in range(events):
            self.feed(self._next.popleft() if self._next else self._draw())
            self.events += 1

    def _draw(self) -> on.Event:
        """One of the answers that are due, at random."""
        if not self._due:
            return on.Proceed()
        drawn = int(self._rng.random() * len(self._due))
        self._due[drawn], self._due[-1] = self._due[-1], self._due[drawn]
        return self._due.pop()

    def _carry_out(self, command: on.Command) -> None:
        match command:
            case on.Train():
                self._due.append(on.UpdateArrived(command.task, command.learner, self._report))
            case on.Evaluate():
                self._due.append(on.EvaluationArrived(command.task, command.learner))
            case on.Combine(round_):
                self._version += 1
                self.rounds += 1
                self._next += (on.Committed(round_, self._version), on.Proceed())
            case on.Cancel() | on.Accept() | on.Refuse() | on.BeginRound() | on.AbandonRound() | on.EndRound():
                return
            case on.SetDeadline() | on.ClearDeadline() | on.Wait() | on.GiveUp() | on.Finished():
                return
            case _:
                assert_never(command)


def measure(name: str, protocol: Protocol, learners: int, events: int, seed: int = 0) -> Throughput:
    """Handle about so many events with so many learners."""
    ready(protocol, 1, seed)  # whatever is made once is made before memory is measured
    gc.collect()
    tracemalloc.start()
    feeder = ready(protocol, learners, seed)
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    began_s = time.process_time()
    feeder.run(events)
    seconds = time.process_time() - began_s
    return Throughput(name, learners, feeder.events, feeder.commands, feeder.rounds, seconds, held_bytes / learners)


def ready(
    protocol: Protocol, learners: int, seed: int = 0, *, selection: Selection | None = None, report: TrainReport | None = None
) -> Feeder:
    """A schedule whose learners have joined and whose first tasks are given, and who feeds it."""
    tasks = (f"{number:x}" for number in itertools.count())
    terms = Terms(selection=selection or Everyone(), seed=seed, tasks=tasks, min_learners=learners)
    feeder = Feeder(protocol.schedule(terms), random.Random(seed), report)  # noqa: S311  # an order of arrival, no secret
    for number in range(learners):
        feeder.feed(on.Joined(Candidate(f"learner-{number}", 100, TAGS)))
    feeder.feed(on.Proceed())
    feeder.commands = feeder.events = 0
    return feeder
