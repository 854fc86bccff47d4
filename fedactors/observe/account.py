"""What came of a run, gathered from its events; pure.

A learner's update is timed from the beginning of the round that it counts in. Of rounds of so many learners that they are told of
as a whole, the totals are known and nothing of single learners.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from statistics import fmean, median

from fedactors.model import LearnerId
from fedactors.record import Event, EventKind, History, LearnerRecord, Phases, RoundRecord
from fedactors.task import Metrics, Round


@dataclass(slots=True)
class Contribution:
    """One learner's part in a run.

    Attributes:
        rounds: that it was asked in.
        updates: of it that count.
        examples: that these were trained on, in all.
        staleness: of all these together, in versions.
        arrivals_s: when each was here, seconds after its round began.
        last_in: rounds whose last update was its own.
        refused: its updates and tasks that do not count, by their reason.
        losses: how often it was lost.
        bytes_up, bytes_down: received from it and sent to it.
        trouble: what last went wrong with it, in words.
    """

    rounds: int = 0
    updates: int = 0
    examples: int = 0
    staleness: int = 0
    arrivals_s: list[float] = field(default_factory=list)
    last_in: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    losses: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    trouble: str = ""

    @property
    def median_s(self) -> float | None:
        """Of its arrivals; None where there is none."""
        return median(self.arrivals_s) if self.arrivals_s else None


@dataclass(slots=True)
class Account:
    """A run, taken together.

    Attributes:
        name: of the run, for people.
        history: its rounds, its last metrics, and why it ended.
        began_s, ended_s: the times of its first and its last event, seconds since 1970.
        learners: by id, in order of their coming.
        lives: processes that have led it.
        abandoned: rounds that were given up.
        failures: of actors.
    """

    name: str
    history: History = field(default_factory=History)
    began_s: float = 0.0
    ended_s: float = 0.0
    learners: dict[LearnerId, Contribution] = field(default_factory=dict)
    lives: int = 1
    abandoned: int = 0
    failures: int = 0
    _began: dict[Round, float] = field(default_factory=dict)
    _last: dict[Round, LearnerId] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, events: Iterable[Event]) -> Account:
        """The account of these events, which are all of a run."""
        account = cls(name)
        for event in events:
            account.take(event)
        return account

    @property
    def rounds(self) -> list[RoundRecord]:
        """Those that were committed and have ended, in order."""
        return self.history.rounds

    @property
    def duration_s(self) -> float:
        """From the first event to the last."""
        return self.ended_s - self.began_s

    @property
    def state(self) -> str:
        """How the run stands, and why, in words."""
        history = self.history
        if not history.finished:
            return "not finished"
        return f"{'failed' if history.failed else 'finished'}: {history.stop_reason}"

    @property
    def accepted(self) -> int:
        """Updates that count."""
        return sum(record.totals.accepted for record in self.rounds)

    @property
    def refused(self) -> Counter[str]:
        """Updates and tasks that do not, by their reason."""
        total: Counter[str] = Counter()
        for record in self.rounds:
            total.update(record.totals.refused)
        return total

    @property
    def bytes_up(self) -> int:
        """Received from learners."""
        return sum(record.totals.bytes_up for record in self.rounds)

    @property
    def bytes_down(self) -> int:
        """Sent to learners."""
        return sum(record.totals.bytes_down for record in self.rounds)

    def mean_phases_s(self) -> dict[str, float]:
        """Of each phase of a round, its mean in seconds; empty where there was no round."""
        if not self.rounds:
            return {}
        names = [phase.name for phase in fields(Phases)]
        return {name.removesuffix("_s"): fmean(getattr(record.phases, name) for record in self.rounds) for name in names}

    def metric_names(self) -> list[str]:
        """Of all rounds, those of losses first."""
        names = {name: None for record in self.rounds for name in record.metrics}
        return sorted(names, key=lambda name: "loss" not in name)

    def best(self) -> Metrics:
        """Of each metric its best round: the least of what is called loss or error, else the greatest."""
        found: dict[str, float] = {}
        for name in self.metric_names():
            values = [record.metrics[name] for record in self.rounds if name in record.metrics]
            finite = [value for value in values if math.isfinite(value)]
            if finite:
                found[name] = min(finite) if falls(name) else max(finite)
        return found

    def take(self, event: Event) -> None:
        """One more event, in order."""
        self.began_s = self.began_s or event.unix_time_s
        self.ended_s = event.unix_time_s
        self.history.take(event)
        body = event.body
        match event.kind:
            case EventKind.LEARNER_JOINED:
                self._learner(body["learner"])
            case EventKind.LEARNER_DEPARTED if body["how"] == "lost":
                learner = self._learner(body["learner"])
                learner.losses, learner.trouble = learner.losses + 1, f"lost: {body['why']}"
            case EventKind.ROUND_BEGAN:
                self._began[body["round"]] = event.unix_time_s
            case EventKind.UPDATE_ACCEPTED:
                self._accepted(event)
            case EventKind.UPDATE_REFUSED:
                learner = self._learner(body["learner"])
                learner.refused[body["reason"]] += 1
                learner.trouble = f"{body['reason']}: {body['why']}"
            case EventKind.ROUND_ENDED:
                self._ended(body["record"]["round"], RoundRecord.from_map(body["record"]).learners)
            case EventKind.ROUND_ABANDONED:
                self.abandoned += 1
            case EventKind.ACTOR_FAILED:
                self.failures += 1
            case EventKind.RESUMED:
                self.lives = body["lives"]
            case _:
                pass

    def _learner(self, learner: LearnerId) -> Contribution:
        return self.learners.setdefault(learner, Contribution())

    def _accepted(self, event: Event) -> None:
        body = event.body
        learner = self._learner(body["learner"])
        learner.updates += 1
        learner.examples += body["num_examples"]
        learner.staleness += body["staleness"]
        if (began_s := self._began.get(body["round"])) is not None:
            learner.arrivals_s.append(event.unix_time_s - began_s)
            self._last[body["round"]] = body["learner"]

    def _ended(self, round_: Round, parts: Mapping[LearnerId, LearnerRecord]) -> None:
        for name, part in parts.items():
            learner = self._learner(name)
            learner.rounds += 1
            learner.bytes_up, learner.bytes_down = learner.bytes_up + part.bytes_up, learner.bytes_down + part.bytes_down
        self._began.pop(round_, None)
        if (last := self._last.pop(round_, None)) is not None and len(parts) > 1:
            self._learner(last).last_in += 1


def falls(metric: str) -> bool:
    """Whether less of a metric is better, by its name."""
    return any(word in metric.lower() for word in ("loss", "error", "mse", "mae", "rmse", "perplexity"))
