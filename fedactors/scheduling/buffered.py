"""Every K updates make a version; nobody waits for anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.scheduling.base import Protocol, Schedule, Terms
from fedactors.scheduling.stream import StreamRules, StreamSchedule, WhenStale


@dataclass(frozen=True, slots=True)
class Buffered(Protocol):
    """Learners train as in `asynchronous`; a version is made of every K updates. Every commit is a round.

    A learner that has answered gets its next task at once, on the newest version; that may be the one it trained on before, now
    with another seed. Several updates of one learner may be combined in one version. Where nobody is left to give another update,
    fewer than K are combined.

    Attributes:
        updates: K >= 1.
        max_staleness: versions, >= 0, by which an update may be behind; None: any number.
        when_stale: "refuse" an update that is further behind, or "wait" so that there is none. As in `asynchronous`.
        concurrency: learners that train at the same time, >= 1; None: as many as the selection policy takes of all that are here.
        task_timeout_s: seconds > 0 after which a training task is cancelled and counts as failed; None: it is waited for.
        evaluators: learners that evaluate a version, >= 1; None: whose updates it combined, and everybody the last version.
        max_failed_tasks: failed tasks of a learner in a row, >= 1, after which it is given no more until it joins anew.
        max_failed_rounds: combinations in a row that cannot be made, >= 1, after which the federation gives up.

    Source: Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation, AISTATS 2022, Algorithm 1, arXiv:2106.06639.
    """

    streams: ClassVar[bool] = True

    updates: int = 10
    max_staleness: int | None = None
    when_stale: WhenStale = "refuse"
    concurrency: int | None = None
    task_timeout_s: float | None = None
    evaluators: int | None = None
    max_failed_tasks: int = 3
    max_failed_rounds: int = 3

    def __post_init__(self) -> None:
        self._rules()

    @override
    def schedule(self, terms: Terms) -> Schedule:
        return StreamSchedule(self._rules(), terms)

    def _rules(self) -> StreamRules:
        return StreamRules(
            updates=self.updates,
            max_staleness=self.max_staleness,
            when_stale=self.when_stale,
            concurrency=self.concurrency,
            task_timeout_s=self.task_timeout_s,
            evaluators=self.evaluators,
            max_failed_tasks=self.max_failed_tasks,
            max_failed_rounds=self.max_failed_rounds,
        )
