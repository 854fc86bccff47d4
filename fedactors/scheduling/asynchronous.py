"""Every update makes a version; nobody waits for anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from fedactors.scheduling.base import Protocol, Schedule, Terms
from fedactors.scheduling.stream import StreamRules, StreamSchedule, WhenStale


@dataclass(frozen=True, slots=True)
class Asynchronous(Protocol):
    """Each update is combined as it comes, and its learner gets the next task on the new version. Every commit is a round.

    A learner that is given no task, because enough others train, comes next by the selection policy; by that of everyone, who
    was idle for longest. Where a stop condition waits for a metric, versions that are committed while an evaluation is out count.

    Attributes:
        max_staleness: versions, >= 0, by which an update may be behind; None: any number.
        when_stale: of an update that is further behind. "refuse": it is refused, and its learner begins again from the newest
            version. "wait": it cannot happen: no version is committed that would leave a learner's training further behind; who
            has answered meanwhile waits, and what came meanwhile is combined together.
        concurrency: learners that train at the same time, >= 1; None: as many as the selection policy takes of all that are here.
        task_timeout_s: seconds > 0 after which a training task is cancelled and counts as failed; None: its learner is waited for
            as long as it is here.
        evaluators: learners, drawn from those that are here, that evaluate a version, >= 1; None: whose update it combined, and
            everybody the last version.
        max_failed_tasks: failed tasks of a learner in a row, >= 1, after which it is given no more until it joins anew. When no
            other is here, the federation gives up.
        max_failed_rounds: combinations in a row that cannot be made, >= 1, after which the federation gives up.

    Source: Xie, Koyejo, Gupta, Asynchronous Federated Optimization, 2019, Algorithm 1, arXiv:1903.03934; waiting for whoever is
    too far behind: Ho et al., More Effective Distributed ML via a Stale Synchronous Parallel Parameter Server, NeurIPS 2013.
    """

    streams: ClassVar[bool] = True

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
            updates=1,
            max_staleness=self.max_staleness,
            when_stale=self.when_stale,
            concurrency=self.concurrency,
            task_timeout_s=self.task_timeout_s,
            evaluators=self.evaluators,
            max_failed_tasks=self.max_failed_tasks,
            max_failed_rounds=self.max_failed_rounds,
        )
