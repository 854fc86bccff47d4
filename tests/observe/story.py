"""Events as a controller would send them, for the tests of what is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from fedactors.record import Event, EventKind, LearnerRecord, Phases, RoundRecord, Totals


class Story:
    """Makes events, each `step_s` after the one before."""

    def __init__(self, step_s: float = 0.1) -> None:
        self._step_s = step_s
        self._number = 0
        self._accepted: Counter[int] = Counter()

    def event(self, kind: str, **body: Any) -> Event:
        self._number += 1
        return Event(self._number - 1, 1_000 + self._number * self._step_s, EventKind(kind), body)

    def joined(self, *learners: str, examples: int = 100) -> list[Event]:
        counts = {"num_train_examples": examples, "num_test_examples": 10}
        return [self.event("learner_joined", learner=one, tags=[], **counts) for one in learners]

    def departed(self, learner: str, how: str, why: str = "") -> Event:
        return self.event("learner_departed", learner=learner, how=how, why=why)

    def began(self, round_: int, *cohort: str) -> Event:
        return self.event("round_began", round=round_, version=round_ - 1, cohort=list(cohort), learners=len(cohort))

    def accepted(self, round_: int, learner: str, examples: int = 100, **metrics: float) -> Event:
        self._accepted[round_] += 1
        counts = {"staleness": 0, "num_examples": examples}
        return self.event("update_accepted", round=round_, learner=learner, metrics=metrics, **counts)

    def refused(self, round_: int, learner: str, reason: str, why: str = "because") -> Event:
        return self.event("update_refused", round=round_, learner=learner, reason=reason, why=why)

    def committed(self, round_: int) -> Event:
        return self.event("round_committed", round=round_, version=round_)

    def evaluated(self, round_: int, learner: str, **metrics: float) -> Event:
        return self.event("learner_evaluated", round=round_, learner=learner, num_examples=10, metrics=metrics)

    def ended(self, round_: int, cohort: Sequence[str], bytes_up: int = 0, bytes_down: int = 0, **metrics: float) -> Event:
        duration_s, accepted = metrics.pop("duration_s", 1.0), self._accepted[round_]
        made = record(round_, cohort, bytes_up, bytes_down, duration_s, metrics, accepted)
        return self.event("round_ended", record=made.to_map())

    def finished(self, failed: bool = False) -> Event:
        return self.event("finished", stop_reason="2 rounds are done", version=2, failed=failed)


def record(
    round_: int,
    cohort: Sequence[str],
    bytes_up: int = 0,
    bytes_down: int = 0,
    duration_s: float = 1.0,
    metrics: Any = None,
    accepted: int = 0,
) -> RoundRecord:
    part = LearnerRecord(examples=100, bytes_up=bytes_up, bytes_down=bytes_down)
    started_at = f"2026-01-01T00:00:{2 * round_:02}.000000+00:00"
    phases = Phases(0.004, 0.8, 0.002, 0.1)
    told = {"bytes_up": bytes_up * len(cohort), "bytes_down": bytes_down * len(cohort)}
    parts, totals = dict.fromkeys(cohort, part), Totals(learners=len(cohort), accepted=accepted, **told)
    return RoundRecord(round_, round_, started_at, duration_s, phases, tuple(cohort), parts, metrics or {}, totals)


def whole_run(learners: Sequence[str] = ("a", "b", "c"), rounds: int = 2) -> list[Event]:
    """A run with one refusal in its second round."""
    story = Story()
    events = [story.event("waiting", why="0 of 3 learners are here"), *story.joined(*learners)]
    events.append(story.event("initialised", source="a", num_parameters=1000, bytes=4000))
    for number in range(1, rounds + 1):
        events.append(story.began(number, *learners))
        for learner in learners:
            refuse = number == 2 and learner == learners[-1]
            events.append(story.refused(2, learner, "layout") if refuse else story.accepted(number, learner, loss=1 / number))
        events.append(story.committed(number))
        events += [story.evaluated(number, learner, accuracy=1 - 0.5 / number) for learner in learners]
        events.append(story.ended(number, learners, 4000, 4000, loss=0.5 / number, accuracy=1 - 0.5 / number))
    return [*events, story.event("stopping", why="2 rounds are done"), story.finished()]
