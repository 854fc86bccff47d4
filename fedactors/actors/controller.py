"""The actor that leads a federation through its life: who is a member, when it begins, when it ends, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from typing_extensions import override

from fedactors.actors.aggregator import Aggregator
from fedactors.actors.blueprint import Blueprint
from fedactors.actors.crew import Crew, engage
from fedactors.actors.initial_draw import InitialDraw
from fedactors.actors.life import Life, Phase
from fedactors.actors.membership import Membership
from fedactors.actors.messages import (
    AssignTask,
    BeginTraining,
    DescribeVersion,
    DismissAll,
    DurationOver,
    EvaluateAgain,
    EventsFrom,
    FinishUp,
    GetAddresses,
    GetModel,
    GetStatus,
    GrantRound,
    Initialised,
    LearnerDeparted,
    LearnerJoined,
    LingerOver,
    Listening,
    NotInitialised,
    NotListening,
    Order,
    Publish,
    ReturnOver,
    RoundCommitted,
    RoundEnded,
    SchedulerReady,
    ToController,
    TooFewLearners,
    TrainingOver,
)
from fedactors.actors.standing import standing
from fedactors.actors.watchers import Watchers
from fedactors.actors.whereabouts import Whereabouts
from fedactors.errors import Rejected
from fedactors.journal import UnendedRound
from fedactors.log import get_logger
from fedactors.protocol import Task, Verb
from fedactors.record import Event, EventKind
from fedactors.runtime import Actor, Deferred, Strategy, Supervision, handle
from fedactors.task import TaskKind
from fedactors.transport import Address

log = get_logger("fedactors.controller")

SETBACKS_MAX = 3
"""Restarts of the scheduler without a commit between them, after which the federation gives up."""


class Controller(Actor[ToController]):
    """Owns membership and the life cycle. Parent of the other actors.

    One of them that fails is restarted together with those started behind it: a new scheduler begins the open round again, and a
    new gateway has the learners come back to it.
    """

    supervision: ClassVar[Supervision] = Supervision(strategy=Strategy.REST_FOR_ONE, max_restarts=2 * SETBACKS_MAX)
    aggregator: ClassVar[type[Aggregator]] = Aggregator
    """What becomes of a combination; a relay's goes elsewhere."""

    def __init__(self, blueprint: Blueprint, life: Life) -> None:
        self._plan = blueprint
        self._life = life
        self._draw = InitialDraw(blueprint.training.seed)
        self._owed = False
        self._to_evaluate: list[UnendedRound] = []
        self._worried = False
        self._whereabouts = Whereabouts()
        self._watchers = Watchers(life)
        self._crew: Crew
        self._members: Membership

    @override
    def started(self) -> None:
        life = self._life
        self._crew = crew = engage(self, self._plan, life, self.aggregator)
        self._members = Membership(life.here, crew.scheduler, crew.aggregator, self._publish)
        if life.phase is Phase.TRAINING:
            self._watch_duration()

    # ------------------------------------------------------------------------------------------------------------- life cycle

    @handle
    def order(self, message: Order) -> None:
        """Do what a driver or an operator says."""
        log.info("order", verb=message.verb, why=message.why)
        match message.verb:
            case Verb.START:
                self._start()
            case Verb.STOP:
                self._end(message.why or "stopped by the operator")
            case Verb.ABORT:
                self._done(message.why or "aborted by the operator", failed=True)
            case Verb.PAUSE:
                self._life.paused = True
            case Verb.RESUME:
                self._resume()
            case Verb.CLOSE:
                self._done(message.why or "closed by the operator", failed=False)
                self.stop()

    def _start(self) -> None:
        if self._life.phase is not Phase.WAITING:
            raise Rejected(f"the federation was started already; it is {self._life.phase}")
        self._life.phase = Phase.INITIALISING
        if self._life.layout is not None:
            self._begin_training()
        self._watch_numbers()

    def _resume(self) -> None:
        self._life.paused = False
        self._go_on_if_owed()

    def _begin_training(self) -> None:
        life = self._life
        assert life.layout is not None, "training begins with a model"
        assert life.version is not None, "a model has a version"
        life.phase = Phase.TRAINING
        self._watch_duration()
        self._crew.scheduler.tell(BeginTraining(life.layout, life.version, life.next_round))
        self._go_on()

    def _watch_duration(self) -> None:
        """The limit holds for all lives of the federation together."""
        if (duration_s := self._life.conditions.duration_s) is not None:
            self.after(max(duration_s - self._life.journal.story.trained_s, 0.0), DurationOver(), key="duration")

    def _go_on(self) -> None:
        """Let the next round begin, or the end, once nothing speaks against it."""
        life = self._life
        self._owed = self._members.awaits or (life.paused and life.phase is Phase.TRAINING)
        if self._owed or life.phase not in {Phase.TRAINING, Phase.FINISHING}:
            return
        unended, self._to_evaluate = self._to_evaluate, []
        for round_ in unended:
            self._crew.scheduler.tell(EvaluateAgain(round_, last=life.phase is Phase.FINISHING))
        if life.phase is Phase.FINISHING:
            self._crew.scheduler.tell(FinishUp(combine_open=True))
        elif not (unended and self._waits_for_evaluation):
            self._crew.scheduler.tell(GrantRound(last=life.next_round == life.conditions.rounds))

    def _go_on_if_owed(self) -> None:
        if self._owed:
            self._go_on()

    def _end(self, why: str) -> None:
        """Let the open round come to its end; at once where none was begun."""
        life = self._life
        if life.phase is Phase.TRAINING:
            self._finish(why)
            self._go_on()
        elif life.phase is not Phase.FINISHING:
            self._done(why, failed=False)

    def _finish(self, why: str) -> None:
        self._life.phase, self._life.stop_reason = Phase.FINISHING, why
        self._publish(EventKind.STOPPING, why=why)

    def _done(self, why: str, *, failed: bool) -> None:
        life = self._life
        if life.phase is Phase.DONE:
            return
        life.phase, life.stop_reason, life.failed = Phase.DONE, why, failed
        self._publish(EventKind.FINISHED, stop_reason=why, version=life.version, failed=failed)
        self._watchers.look()
        self._crew.gateway.tell(DismissAll())
        for key in ("duration", "too few"):
            self.cancel(key)
        self.after(self._plan.linger_s, LingerOver())

    @handle
    def duration_over(self, _: DurationOver) -> None:
        """The wall-clock stop condition is met."""
        self._end(f"{self._life.conditions.duration_s:g} s have passed")

    @handle
    def linger_over(self, _: LingerOver) -> None:
        """Nobody closed a federation that is done."""
        self.stop()

    # ---------------------------------------------------------------------------------------------------------------- progress

    @handle
    async def scheduler_ready(self, _: SchedulerReady) -> None:
        """A restarted scheduler goes on where the last commit left the federation."""
        life = self._life
        await self._hear_of_commit()
        self._await_return()
        life.setbacks += life.had_scheduler and life.phase is not Phase.WAITING
        life.had_scheduler = True
        if life.setbacks > SETBACKS_MAX:
            self._done(f"round {life.next_round} failed {life.setbacks} times in a row: {life.trouble}", failed=True)
        if life.phase in {Phase.TRAINING, Phase.FINISHING}:
            assert life.layout is not None, "training begins with a model"
            assert life.version is not None, "a model has a version"
            self._crew.scheduler.tell(BeginTraining(life.layout, life.version, life.next_round))
            self._to_evaluate = list(life.journal.story.unended.values())
            self._go_on()

    async def _hear_of_commit(self) -> None:
        """A commit that had begun may be done, with nobody left to tell of it."""
        story = self._life.journal.story
        if (committing := story.committing) is None:
            return
        newest = await self._crew.store.ask(GetModel())
        if newest.version == committing.version:
            why = self._committed(RoundCommitted(committing.round, committing.version, len(story.counted)))
            if why is not None and self._life.phase is Phase.TRAINING:
                self._finish(why)

    @handle
    def initialised(self, message: Initialised) -> None:
        """There is a version 0."""
        life, layout = self._life, message.model.layout
        life.layout, life.version = layout, message.model.version
        num_parameters = self._plan.aggregation.scope.num_parameters(layout)
        self._publish(EventKind.INITIALISED, source=message.source, num_parameters=num_parameters, bytes=layout.nbytes)
        if life.phase is Phase.INITIALISING:
            self._begin_training()

    @handle
    def round_committed(self, message: RoundCommitted) -> None:
        """A new version; the next round may overlap the evaluation of this one unless a stop condition waits for it."""
        if (why := self._committed(message)) is not None:
            self._end(why)
        elif not self._waits_for_evaluation:
            self._go_on()

    def _committed(self, message: RoundCommitted) -> str | None:
        """Write down a commit; why to stop now, if a condition is met."""
        life = self._life
        life.version, life.next_round = message.version, message.round + 1
        life.setbacks, life.is_resumed = 0, False
        self._publish(EventKind.ROUND_COMMITTED, round=message.round, version=message.version, updates=message.updates)
        return life.stop.after_commit(message.round, message.updates)

    @handle
    def round_ended(self, message: RoundEnded) -> None:
        """A round's record is complete."""
        life = self._life
        record = replace(message.record, epsilon=life.conditions.epsilon(message.record.round))
        self._publish(EventKind.ROUND_ENDED, record=record.to_map())
        if self._plan.describes:
            self._crew.store.tell(DescribeVersion(record))
        if life.phase is Phase.TRAINING:
            if (why := life.stop.after_evaluation(record)) is not None:
                self._end(why)
            elif self._waits_for_evaluation:
                self._go_on()

    @property
    def _waits_for_evaluation(self) -> bool:
        """Whether the next round begins only once the result of the last one is evaluated."""
        return self._life.conditions.needs_evaluation and not self._plan.training.protocol.streams

    @handle
    def training_over(self, message: TrainingOver) -> None:
        """The scheduler has ended."""
        failed = message.failure is not None
        self._done(message.failure or self._life.stop_reason or "done", failed=failed)

    # -------------------------------------------------------------------------------------------------------------- membership

    @handle
    def learner_joined(self, message: LearnerJoined) -> None:
        """A learner is here; a former connection of it is not any more."""
        learner = message.candidate.learner
        if (former := self._members.get(learner)) is not None:
            self.learner_departed(LearnerDeparted(learner, "displaced", "it joined anew", former.proxy))
        was_awaited = self._members.join(message)
        self._watch_numbers()
        if was_awaited:
            self._go_on_if_owed()

    @handle
    def learner_departed(self, message: LearnerDeparted) -> None:
        """A learner is gone, unless a later connection of it is here."""
        if self._members.depart(message):
            self._watch_numbers()

    def _await_return(self) -> None:
        """The gateway was or is being restarted: rounds wait a while for the learners that were here."""
        if self._members.await_return():
            wait_s = self._plan.join_timeout_s if self._life.is_resumed else self._plan.return_s
            self.after(wait_s, ReturnOver(), key="return")

    @handle
    def return_over(self, _: ReturnOver) -> None:
        """Whoever is not back after a restart is lost; the others go on."""
        if self._members.give_up_awaited():
            self._watch_numbers()
        self._go_on_if_owed()

    def _watch_numbers(self) -> None:
        """Draw the learner that gives the initial weights once enough are here; begin to worry where too few are."""
        enough = len(self._members) >= self._needed
        if self._life.running and not enough:
            if not self._worried:
                self.after(self._plan.join_timeout_s, TooFewLearners(), key="too few")
            self._worried = True
        else:
            self.cancel("too few")
            self._worried = False
        if self._life.phase is Phase.INITIALISING and enough and not self._draw.is_out(self._members):
            self._ask_for_weights()

    @property
    def _needed(self) -> int:
        return self._plan.training.min_learners if self._life.next_round == 1 else 1

    @handle
    def too_few(self, _: TooFewLearners) -> None:
        """Nobody came in time."""
        number, needed = len(self._members), self._needed
        waited = f"{self._plan.join_timeout_s:g} s"
        self._done(f"{number} of at least {needed} learners were here for {waited} (learners.join_timeout_s)", failed=True)

    def _ask_for_weights(self) -> None:
        """Have a learner give the weights that the federation starts from."""
        if (drawn := self._draw.draw(self._members)) is None:
            self._done(f"no learner gave initial weights: {self._draw.troubles}", failed=True)
        else:
            drawn.proxy.tell(AssignTask(Task(next(self._life.tasks), TaskKind.INITIALISE, None), None))

    @handle
    def not_initialised(self, message: NotInitialised) -> None:
        """Ask another one."""
        if self._draw.decline(message.learner, message.why, self._members):
            self._watch_numbers()

    # -------------------------------------------------------------------------------------------------------------------- news

    @handle
    def publish(self, message: Publish) -> None:
        """News of another actor."""
        if message.kind is EventKind.ACTOR_FAILED:
            self._life.trouble = message.body["why"]
        self._publish(message.kind, **message.body)

    def _publish(self, kind: EventKind, **body: Any) -> None:
        life = self._life
        if life.phase is Phase.DONE and kind is not EventKind.FINISHED:
            return  # `finished` is the last event of every federation
        life.publish(self.clock.time(), kind, body)
        self._watchers.look()

    @handle
    def events_from(self, message: EventsFrom) -> tuple[Event, ...] | Deferred[tuple[Event, ...]]:
        """The events from a number on, now or when there are enough."""
        if (news := self._watchers.answer(message)) is not None:
            return news
        deferred: Deferred[tuple[Event, ...]] = self.reply_later()
        self._watchers.wait(message, deferred)
        return deferred

    @handle
    def status(self, _: GetStatus) -> Mapping[str, Any]:
        """Where the federation stands."""
        return standing(self._plan, self._life, self._members, self._whereabouts.addresses)

    # --------------------------------------------------------------------------------------------------------------- listening

    @handle
    def addresses(self, _: GetAddresses) -> Deferred[tuple[Address, ...]]:
        """Where the gateway listens, now or when it does."""
        deferred: Deferred[tuple[Address, ...]] = self.reply_later()
        self._whereabouts.tell(deferred)
        return deferred

    @handle
    def listening(self, message: Listening) -> None:
        """The gateway is up; where one was up before, its learners come back to this one."""
        self._await_return()
        self._whereabouts.known(message.addresses)

    @handle
    def not_listening(self, message: NotListening) -> None:
        """The gateway cannot listen."""
        self._whereabouts.failed(message.why)
        self._done(str(message.why), failed=True)
