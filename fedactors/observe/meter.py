"""What of a run is counted for monitoring, gathered from its events; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from fedactors.observe.board import Board
from fedactors.record import Event, EventKind, Phases, RoundRecord
from fedactors.runtime.trace import ActorStatistics, SystemStatistics
from fedactors.task import Metrics

METRICS_KEPT_MAX = 32
"""Of the learners' own metrics: each is a series of its own, and a learner can report any number."""
PHASES = tuple(phase.name.removesuffix("_s") for phase in fields(Phases))
PROXIES = "learners"
"""Under which the actors of single learners are counted together: there may be thousands."""


class Meter:
    """Counts since the run's first event, of all its processes.

    Args:
        name: of the federation.

    Attributes:
        board: what every learner is doing, and how far the run is.
        rounds: that were committed and have ended.
        abandoned: rounds that were given up.
        accepted: updates that count.
        refused: updates and tasks that do not, by their reason.
        phase_s: of all rounds, by phase, seconds.
        bytes_up, bytes_down: received from learners and sent to them.
        actor_failures: each led to a restart, or to the end.
        metrics: of the last evaluated round.
        epsilon: of differential privacy, spent so far; None where that is not accounted.
        finished, failed: how the run ended; both False while it goes on.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.board = Board()
        self.rounds = 0
        self.abandoned = 0
        self.accepted = 0
        self.refused: Counter[str] = Counter()
        self.phase_s = dict.fromkeys(PHASES, 0.0)
        self.bytes_up = 0
        self.bytes_down = 0
        self.actor_failures = 0
        self.metrics: Metrics = {}
        self.epsilon: float | None = None
        self.finished = False
        self.failed = False

    def take(self, event: Event) -> None:
        """One more event, in order."""
        self.board.apply(event)
        match event.kind:
            case EventKind.ROUND_ENDED:
                self._round(RoundRecord.from_map(event.body["record"]))
            case EventKind.ROUND_ABANDONED:
                self.abandoned += 1
            case EventKind.ACTOR_FAILED:
                self.actor_failures += 1
            case EventKind.FINISHED | EventKind.RESUMED:
                self.finished = event.kind is EventKind.FINISHED
                self.failed = self.finished and bool(event.body["failed"])
            case _:
                pass

    def _round(self, record: RoundRecord) -> None:
        totals = record.totals
        self.rounds += 1
        self.accepted += totals.accepted
        self.refused.update(totals.refused)
        self.bytes_up, self.bytes_down = self.bytes_up + totals.bytes_up, self.bytes_down + totals.bytes_down
        for phase in PHASES:
            self.phase_s[phase] += getattr(record.phases, f"{phase}_s")
        if record.metrics:
            self.metrics = dict(sorted(record.metrics.items())[:METRICS_KEPT_MAX])
        self.epsilon = record.epsilon if record.epsilon is not None else self.epsilon


@dataclass(slots=True)
class ActorFigures:
    """One actor's figures, or those of several together; see `ActorStatistics`."""

    messages: int = 0
    depth: int = 0
    wait_s: float = 0.0
    handler_s: float = 0.0
    restarts: int = 0

    def add(self, one: ActorStatistics) -> None:
        """With those of one more."""
        self.messages += one.messages
        self.depth += one.depth
        self.wait_s += one.wait_s
        self.handler_s += one.handler_s
        self.restarts += one.restarts


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the actor kernel tells.

    Attributes:
        actors: by the last part of their paths; those of single learners as one.
        dead_letters: messages that nobody handled.
        failures: of actors, of this process.
        lag_s: how late the event loop came to run the actors last time.
        lag_max_s: at worst.
    """

    actors: dict[str, ActorFigures] = field(default_factory=dict)
    dead_letters: int = 0
    failures: int = 0
    lag_s: float = 0.0
    lag_max_s: float = 0.0

    @classmethod
    def of(cls, statistics: SystemStatistics) -> Kernel:
        """From the statistics of an actor system."""
        actors = _by_name(statistics.actors)
        return cls(actors, statistics.dead_letters, statistics.failures, statistics.lag_s, statistics.lag_max_s)


@dataclass(frozen=True, slots=True)
class Metered:
    """One federation of many, as it stands.

    Attributes:
        name: by which it is told from the others.
        state: in a word.
        meter: of its run; None where nothing has happened yet.
        kernel: tells of its actors; None where there are none.
    """

    name: str
    state: str
    meter: Meter | None = None
    kernel: Kernel | None = None


def _by_name(statistics: Iterable[ActorStatistics]) -> dict[str, ActorFigures]:
    figures: dict[str, ActorFigures] = {}
    for one in statistics:
        parent, _, name = one.path.rpartition("/")
        shown = PROXIES if parent.endswith("/gateway") else name
        figures.setdefault(shown, ActorFigures()).add(one)
    return figures
