"""Who takes part in a federation: the learners that are here, and those that are to come back after a restart.

Whoever comes or goes is told to the scheduler, which gives tasks to those who are here alone, to the aggregator, which forgets
those who are gone, and to everybody as news. What follows for the run, how long to wait and how many are enough, is decided
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from typing_extensions import override

from fedactors.actors.messages import (
    ForgetLearner,
    LearnerDeparted,
    LearnerJoined,
    MemberDeparted,
    MemberJoined,
    ToAggregator,
    ToScheduler,
)
from fedactors.model import LearnerId
from fedactors.record import EventKind
from fedactors.runtime import ActorRef


class Membership(Mapping[LearnerId, LearnerJoined]):
    """The learners that are here, each with how it joined.

    Args:
        taking_part: who takes part, kept up to date; it outlives a failure of the controller, and so names those to come back.
        scheduler: told of members.
        aggregator: told of learners that have departed.
        publish: tells a kind of news and what it holds.
    """

    def __init__(
        self,
        taking_part: set[LearnerId],
        scheduler: ActorRef[ToScheduler],
        aggregator: ActorRef[ToAggregator],
        publish: Callable[..., None],
    ) -> None:
        self._taking_part = taking_part
        self._scheduler = scheduler
        self._aggregator = aggregator
        self._publish = publish
        self._members: dict[LearnerId, LearnerJoined] = {}
        self._awaited: set[LearnerId] = set()

    @override
    def __getitem__(self, learner: LearnerId) -> LearnerJoined:
        return self._members[learner]

    @override
    def __iter__(self) -> Iterator[LearnerId]:
        return iter(self._members)

    @override
    def __len__(self) -> int:
        return len(self._members)

    @property
    def awaits(self) -> bool:
        """Whether somebody who was here before a restart is not back."""
        return bool(self._awaited)

    def join(self, message: LearnerJoined) -> bool:
        """A learner is here that is no member; whether it was awaited."""
        learner = message.candidate.learner
        assert learner not in self._members, "a former connection departs first"
        self._members[learner] = message
        self._taking_part.add(learner)
        self._publish(
            EventKind.LEARNER_JOINED,
            learner=learner,
            num_train_examples=message.candidate.num_examples,
            num_test_examples=message.num_test_examples,
            tags=sorted(message.candidate.tags),
        )
        self._scheduler.tell(MemberJoined(message.candidate, message.proxy))
        was_awaited = learner in self._awaited
        self._awaited.discard(learner)
        return was_awaited

    def depart(self, message: LearnerDeparted) -> bool:
        """A learner is gone, unless a later connection of it is here; whether it is."""
        member = self._members.get(message.learner)
        if member is None or member.proxy is not message.proxy:
            return False
        self._forget(message.learner)
        self._departed(message.learner, message.how, message.why)
        return True

    def await_return(self) -> bool:
        """The gateway was or is being restarted: nobody is here until it is back; whether anybody is awaited."""
        for learner in list(self._members):
            self._forget(learner)
        self._awaited = set(self._taking_part)
        return self.awaits

    def give_up_awaited(self) -> bool:
        """Whoever is not back after a restart is lost; whether anybody is."""
        awaited, self._awaited = self._awaited, set()
        for learner in sorted(awaited):
            self._departed(learner, "lost", "it did not come back after a restart of the controller's side")
        return bool(awaited)

    def _forget(self, learner: LearnerId) -> None:
        """Give a learner no more tasks; whether it has departed is another question."""
        del self._members[learner]
        self._scheduler.tell(MemberDeparted(learner))

    def _departed(self, learner: LearnerId, how: str, why: str) -> None:
        self._taking_part.discard(learner)
        if how != "displaced":
            self._aggregator.tell(ForgetLearner(learner))
        self._publish(EventKind.LEARNER_DEPARTED, learner=learner, how=how, why=why)
