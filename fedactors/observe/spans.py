"""Where the time of rounds went, as spans: intervals with what happened in them; pure.

    round                     from its beginning until its evaluations are here
    ├── train task            of a learner, until its update was decided
    ├── combine               until the new version is kept
    └── evaluate              from then until the last evaluation is here
        └── evaluate task     of a learner

A learner's task begins with the round that asks it; where learners train across rounds, with the decision of its last one. Of a
round that is told of as a whole there are no tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from fedactors.model import LearnerId
from fedactors.record import Event, EventKind, RoundRecord
from fedactors.task import Round

Attribute: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Span:
    """An interval.

    Attributes:
        name: one of the few above.
        began_s, ended_s: seconds since 1970.
        attributes: what is known of it.
        error: why it came to nothing, in words; empty where it did not.
        children: intervals of which it consists; they may overlap.
    """

    name: str
    began_s: float
    ended_s: float
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    error: str = ""
    children: tuple[Span, ...] = ()


@dataclass(slots=True)
class _Open:
    began_s: float
    committed_s: float = 0.0
    trained: list[Span] = field(default_factory=list)
    evaluated: list[Span] = field(default_factory=list)


class Spans:
    """Makes spans of events: one for each round, when it has ended or was given up."""

    def __init__(self) -> None:
        self._open: dict[Round, _Open] = {}
        self._asked_s: dict[LearnerId, float] = {}
        self._free_s: dict[LearnerId, float] = {}
        self._first_s: float | None = None

    def take(self, event: Event) -> Span | None:
        """One more event, in order; the round that is over by it."""
        at_s, body = event.unix_time_s, event.body
        match event.kind:
            case EventKind.LEARNER_JOINED:
                self._free_s[body["learner"]] = at_s
            case EventKind.LEARNER_DEPARTED:
                self._asked_s.pop(body["learner"], None)
            case EventKind.ROUND_BEGAN:
                self._began(at_s, body)
            case EventKind.UPDATE_ACCEPTED:
                told = {"examples": body["num_examples"], "staleness": body["staleness"]}
                self._decided(at_s, body, told)
            case EventKind.UPDATE_REFUSED:
                self._decided(at_s, body, {"reason": body["reason"]}, f"{body['reason']}: {body['why']}")
            case EventKind.ROUND_COMMITTED if (round_ := self._open.get(body["round"])) is not None:
                round_.committed_s = at_s
            case EventKind.LEARNER_EVALUATED if (round_ := self._open.get(body["round"])) is not None:
                told = {"learner": body["learner"], "examples": body["num_examples"]}
                round_.evaluated.append(Span("evaluate task", round_.committed_s, at_s, told))
            case EventKind.ROUND_ENDED:
                return self._ended(at_s, RoundRecord.from_map(body["record"]))
            case EventKind.ROUND_ABANDONED:
                return self._abandoned(at_s, body)
            case EventKind.RESUMED:
                self._open.clear()  # the new process begins them again
                self._asked_s.clear()
            case _:
                pass
        return None

    def _began(self, at_s: float, body: Mapping[str, Any]) -> None:
        self._open[body["round"]] = _Open(at_s)
        self._first_s = at_s if self._first_s is None else self._first_s
        self._asked_s |= dict.fromkeys(body["cohort"], at_s)

    def _decided(self, at_s: float, body: Mapping[str, Any], told: Mapping[str, Attribute], error: str = "") -> None:
        learner, round_ = body["learner"], self._open.get(body["round"])
        asked_s = self._asked_s.pop(learner, None)
        if round_ is not None:
            free_s = max(self._free_s.get(learner, round_.began_s), self._first_s or 0.0)
            began_s = free_s if asked_s is None else asked_s
            round_.trained.append(Span("train task", began_s, at_s, {"learner": learner, **told}, error))
        self._free_s[learner] = at_s

    def _ended(self, at_s: float, record: RoundRecord) -> Span:
        began_s = datetime.fromisoformat(record.started_at).timestamp()
        known = self._open.pop(record.round, None) or _Open(began_s)
        committed_s = known.committed_s or began_s + record.duration_s
        children = [*known.trained, Span("combine", committed_s - record.phases.combine_s, committed_s)]
        if record.totals.evaluated or known.evaluated:
            told = {f"metric.{name}": value for name, value in record.metrics.items()}
            ended_s = committed_s + record.phases.evaluate_s
            children.append(Span("evaluate", committed_s, ended_s, told, children=tuple(known.evaluated)))
        return Span("round", known.began_s, at_s, _attributes(record), children=tuple(children))

    def _abandoned(self, at_s: float, body: Mapping[str, Any]) -> Span:
        known = self._open.pop(body["round"], None) or _Open(at_s)
        return Span("round", known.began_s, at_s, {"round": body["round"]}, body["why"], tuple(known.trained))


def _attributes(record: RoundRecord) -> dict[str, Attribute]:
    totals = record.totals
    told: dict[str, Attribute] = {"round": record.round, "version": record.version, "learners": totals.learners}
    told |= {"accepted": totals.accepted, "refused": sum(totals.refused.values()), "examples": totals.examples}
    told |= {"bytes_up": totals.bytes_up, "bytes_down": totals.bytes_down}
    return told if record.epsilon is None else told | {"epsilon": record.epsilon}
