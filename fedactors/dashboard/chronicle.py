"""What the page shows of a run, gathered from its events; pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from math import isfinite
from typing import Any, TypeAlias

from fedactors.model import LearnerId
from fedactors.observe.board import GONE, TROUBLED, Board, Row, State
from fedactors.observe.figures import natural
from fedactors.record import Event, EventKind, RoundRecord
from fedactors.task import Metrics, Round

Shown: TypeAlias = dict[str, float | None]
"""Metrics as JSON can hold them: None stands for what is no number."""

ROUNDS_KEPT_MAX = 10_000
"""Of a longer run, every second of the older rounds is left out, again and again."""
LEARNERS_SHOWN_MAX = 200
"""In the table, those in trouble first; the others are counted."""
LINES_KEPT = 200
METRICS_KEPT_MAX = 12
"""Of a round; a learner can report any number."""
TEXT_CHARS_MAX = 300
"""Of an error in the table."""


@dataclass(frozen=True, slots=True)
class RoundPoint:
    """A round as the charts have it.

    Attributes:
        number: of the event that told of it, by which a browser that comes back says what it has.
        round, version, duration_s: see `RoundRecord`.
        began_s: after the run's first event, seconds.
        phases: dispatch, train, combine and evaluate, seconds.
        metrics: of its result, at most METRICS_KEPT_MAX.
        learners, accepted, refused: how many.
        bytes_up, bytes_down: of all its learners.
        epsilon: of differential privacy, spent by it and all before it; None where that is not accounted.
    """

    number: int
    round: Round
    version: int
    began_s: float
    duration_s: float
    phases: tuple[float, float, float, float]
    metrics: Shown
    learners: int
    accepted: int
    refused: int
    bytes_up: int
    bytes_down: int
    epsilon: float | None


class Chronicle:
    """The state of a run for a page, updated by its events.

    Args:
        name: of the federation; empty where it is not known yet.
        rounds_total: how many rounds there shall be; None where that is open.
        evaluate_every: as configured.

    Attributes:
        board: what every learner is doing.
        rounds: in the order in which they were told of, at most ROUNDS_KEPT_MAX.
        next_number: of the event that comes next.
        versions: how many were made.
        finished: the run is over.
    """

    def __init__(self, name: str = "", rounds_total: int | None = None, evaluate_every: int = 1) -> None:
        self.name = name
        self.board = Board(rounds_total, evaluate_every)
        self.rounds: list[RoundPoint] = []
        self.next_number = 0
        self.versions = 0
        self.finished = False
        self._failed = False
        self._began_s: float | None = None
        self._latest_s = 0.0
        self._model: dict[str, Any] = {}
        self._lines: deque[dict[str, Any]] = deque(maxlen=LINES_KEPT)

    def take(self, event: Event) -> None:
        """One more event, in order."""
        if self._began_s is None:
            self._began_s = event.unix_time_s
        self._latest_s, self.next_number = event.unix_time_s, event.number + 1
        for line in self.board.apply(event):
            self._lines.append({"at_s": event.unix_time_s, "weight": line.weight.name.lower(), "text": line.text})
        if event.kind is EventKind.ROUND_ENDED:
            self._note_round(event)
        elif event.kind is EventKind.INITIALISED:
            self._model = {key: event.body[key] for key in ("num_parameters", "bytes")}
            self.versions = 1
        elif event.kind is EventKind.ROUND_COMMITTED:
            self.versions = event.body["version"] + 1
        elif event.kind in {EventKind.FINISHED, EventKind.RESUMED}:
            self.finished = event.kind is EventKind.FINISHED
            self._failed = self.finished and bool(event.body["failed"])

    def rounds_after(self, number: int, at_most: int) -> list[RoundPoint]:
        """The rounds that events from this number on have told of, the first `at_most`."""
        first = bisect_left(self.rounds, number, key=lambda point: point.number)
        return self.rounds[first : first + at_most]

    def state(self) -> dict[str, Any]:
        """Everything but the rounds, as plain maps and numbers: what a browser shows now."""
        board = self.board
        return {
            "name": self.name,
            "note": board.note,
            "finished": self.finished,
            "failed": self._failed,
            "round": board.round,
            "rounds_ended": board.rounds_ended,
            "rounds_total": board.rounds_total,
            "version": board.version,
            "metrics": _some(board.metrics),
            "began_s": self._began_s,
            "latest_s": self._latest_s,
            "model": self._model,
            "epsilon": board.epsilon,
            "counts": {str(state): number for state, number in board.counts().items()},
            "learners": [_learner(name, row) for name, row in self._shown()],
            "learners_total": len(board.learners),
            "lines": list(self._lines),
        }

    def _shown(self) -> Iterable[tuple[LearnerId, Row]]:
        """In order of their ids where all are shown; else those in trouble first and those that are gone last."""
        learners = self.board.learners
        if len(learners) <= LEARNERS_SHOWN_MAX:
            return sorted(learners.items(), key=lambda item: natural(item[0]))
        order: Sequence[State] = sorted(State, key=lambda state: (state in GONE, state not in TROUBLED))
        names = islice(chain.from_iterable(map(self.board.of_state, order)), LEARNERS_SHOWN_MAX)
        return [(name, learners[name]) for name in names]

    def _note_round(self, event: Event) -> None:
        assert self._began_s is not None, "it is set by the first event"
        record = RoundRecord.from_map(event.body["record"])
        self.rounds.append(_point(event.number, record, self._began_s))
        if len(self.rounds) > ROUNDS_KEPT_MAX:
            older = self.rounds[: ROUNDS_KEPT_MAX // 2]
            self.rounds[: ROUNDS_KEPT_MAX // 2] = older[::2]


def _point(number: int, record: RoundRecord, began_s: float) -> RoundPoint:
    totals, phases = record.totals, record.phases
    return RoundPoint(
        number=number,
        round=record.round,
        version=record.version,
        began_s=datetime.fromisoformat(record.started_at).timestamp() - began_s,
        duration_s=record.duration_s,
        phases=(phases.dispatch_s, phases.train_s, phases.combine_s, phases.evaluate_s),
        metrics=_some(record.metrics),
        learners=totals.learners,
        accepted=totals.accepted,
        refused=sum(totals.refused.values()),
        bytes_up=totals.bytes_up,
        bytes_down=totals.bytes_down,
        epsilon=record.epsilon,
    )


def _some(metrics: Metrics) -> Shown:
    names = sorted(metrics, key=lambda name: "loss" not in name)
    return {name: value if isfinite(value := metrics[name]) else None for name in names[:METRICS_KEPT_MAX]}


def _learner(name: LearnerId, row: Row) -> dict[str, Any]:
    """One of hundreds, several times a second."""
    fields = {field: getattr(row, field) for field in Row.__slots__}
    shown = {"learner": name, "metrics": _some(row.metrics), "trouble": row.trouble[:TEXT_CHARS_MAX]}
    return fields | shown | {"troubled": row.state in TROUBLED, "gone": row.state in GONE}
