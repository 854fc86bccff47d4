"""A relay's controlling actor: it leads its children through what the parent asks for, one thing at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias, cast

from typing_extensions import override

from fedactors.actors.aggregator import Aggregator
from fedactors.actors.blueprint import Blueprint
from fedactors.actors.controller import Controller
from fedactors.actors.life import Life, Phase
from fedactors.actors.messages import (
    BeginTraining,
    EvaluateAgain,
    FinishUp,
    GetModel,
    GetStatus,
    GrantRound,
    Initialised,
    LearnerJoined,
    Order,
    ReplaceModels,
    RoundCommitted,
    RoundEnded,
    SchedulerReady,
    TrainingOver,
)
from fedactors.actors.relay_aggregator import RelayAggregator
from fedactors.actors.relay_messages import (
    Adopt,
    CallOff,
    Children,
    EvaluateChildren,
    GetChildren,
    InitialiseChildren,
    Summed,
    ToRelayAggregator,
    TrainChildren,
)
from fedactors.actors.relay_rounds import RelayRounds
from fedactors.errors import Rejected
from fedactors.journal import UnendedRound
from fedactors.model import GlobalModel
from fedactors.protocol import Verb
from fedactors.record import EventKind, RoundRecord
from fedactors.runtime import ActorRef, Deferred, handle
from fedactors.task import METRICS_MAX, EvaluationReport, Round

Work: TypeAlias = InitialiseChildren | TrainChildren | EvaluateChildren


class RelayController(Controller):
    """A controller that grants itself nothing: its parent's tasks begin its rounds, on its parent's versions.

    Membership, news and the actors below it are those of every controller. It is in the phase `waiting` between two tasks. What
    would end a federation of its own fails the task at hand; the parent decides what becomes of that.
    """

    aggregator: ClassVar[type[Aggregator]] = RelayAggregator

    def __init__(self, blueprint: Blueprint, life: Life) -> None:
        super().__init__(blueprint, life)
        self._work: Work | None = None
        self._answer: Deferred[Any]
        self._summed: Summed | None = None
        self._adopted: GlobalModel | None = None  # what the model store has
        self._training = ""  # of the scheduler's; what it says of another one is of a former task
        self._rounds = RelayRounds()
        self._were_enough = life.had_scheduler  # a controlling actor that is restarted has had them
        self._curious: list[tuple[GetChildren, Deferred[Children]]] = []

    # --------------------------------------------------------------------------------------------------- what the parent asks for

    @handle
    async def initialise(self, message: InitialiseChildren) -> Deferred[GlobalModel] | GlobalModel:
        """Have a child give the weights that it starts from; those that are here already are as good."""
        if self._life.layout is not None:
            return await self._crew.store.ask(GetModel())
        return self._begin(message, Phase.INITIALISING)

    @handle
    def train(self, message: TrainChildren) -> Deferred[Summed]:
        """Have the children train for one round."""
        return self._begin(message, Phase.TRAINING)

    @handle
    def evaluate(self, message: EvaluateChildren) -> Deferred[EvaluationReport]:
        """Have the children that are here evaluate."""
        return self._begin(message, Phase.TRAINING)

    @handle
    def call_off(self, message: CallOff) -> None:
        """The parent wants it no more: the children are told, and what they have given is dropped."""
        if self._work is not None and self._work.task == message.task:
            self._give_up(message.why)

    def _begin(self, work: Work, phase: Phase) -> Deferred[Any]:
        life = self._life
        if life.phase is Phase.DONE or self._work is not None:
            raise Rejected("this relay is done" if life.phase is Phase.DONE else "this relay is at another task")
        self._work, self._answer, self._summed = work, self.reply_later(), None
        if not isinstance(work, EvaluateChildren):
            self._tell_of(self._rounds.without_evaluation())
        life.phase = phase
        if not isinstance(work, InitialiseChildren):
            life.layout, life.version, life.next_round = work.model.layout, work.model.version, work.params.round
        self._draw.forgive()
        self._watch_numbers()
        self._go_on()
        return self._answer

    @override
    def _go_on(self) -> None:
        """Begin, or begin again, what the parent asks for; after a restart once those are back who were here.

        A relay whose process was restarted may have a task before it has learners. Later on, a round waits for them by itself; an
        evaluation is given to whoever is here, and so waits for somebody to be.
        """
        work = self._work
        enough = self._members if isinstance(work, EvaluateChildren) else True
        self._owed = self._members.awaits or not (enough and self._were_enough)
        if work is None or self._owed:
            return
        if isinstance(work, InitialiseChildren):
            self._watch_numbers()
            return
        if work.model is not self._adopted:
            self._crew.store.tell(ReplaceModels(work.model))  # it is there before anybody can hear of a task and ask for it
            self._adopted = work.model
        cast("ActorRef[ToRelayAggregator]", self._crew.aggregator).tell(Adopt(work.model))  # a relay's takes more than others do
        if isinstance(work, TrainChildren):
            self._open_round(work)
        else:
            self._open_evaluation(work)

    def _open_round(self, work: TrainChildren) -> None:
        self._begin_training_with(work, work.params.round, train=work.params, evaluate_every=0)
        self._crew.scheduler.tell(GrantRound(last=False))

    def _open_evaluation(self, work: EvaluateChildren) -> None:
        round_, version = work.params.round, work.model.version
        self._begin_training_with(work, round_ + 1, evaluate=work.params, evaluate_every=1)
        self._crew.scheduler.tell(EvaluateAgain(UnendedRound(round_, version, tuple(sorted(self._members))), last=True))

    def _begin_training_with(self, work: TrainChildren | EvaluateChildren, first_round: Round, **terms: Any) -> None:
        plan, self._training = replace(self._plan.training, **terms), next(self._life.tasks)
        self._crew.scheduler.tell(BeginTraining(work.model.layout, work.model.version, first_round, plan, self._training))

    # ----------------------------------------------------------------------------------------------------------- what comes of it

    @handle
    @override
    def initialised(self, message: Initialised) -> None:
        life, layout, self._adopted = self._life, message.model.layout, message.model
        if isinstance(self._work, TrainChildren | EvaluateChildren):  # a former task asked for weights
            self._crew.scheduler.tell(FinishUp(combine_open=False))
            self._go_on()
            return
        life.layout, life.version = layout, message.model.version
        self._publish(EventKind.INITIALISED, source=message.source, num_parameters=layout.num_parameters, bytes=layout.nbytes)
        if self._work is not None:
            self._finished(message.model)

    @handle
    def summed(self, message: Summed) -> None:
        """The aggregator has combined; the scheduler will say so, too."""
        self._summed = message

    @handle
    @override
    def round_committed(self, message: RoundCommitted) -> None:
        summed = self._summed
        if message.training != self._training:
            return
        self._committed(message)
        if isinstance(self._work, TrainChildren):
            assert summed is not None, "the aggregator tells of it first"
            self._finished(summed)

    @handle
    @override
    def round_ended(self, message: RoundEnded) -> None:
        record = message.record
        if record.totals.accepted:
            self._rounds.trained(record)
        else:
            self._tell_of(self._rounds.evaluated(record))
        if isinstance(self._work, EvaluateChildren) and message.training == self._training:
            if record.totals.evaluated:
                self._finished(EvaluationReport(record.totals.examples_evaluated, record.metrics))
            else:
                self._fail(f"no learner of this relay evaluated version {record.version}")

    def _tell_of(self, record: RoundRecord | None) -> None:
        if record is not None:
            self._publish(EventKind.ROUND_ENDED, record=record.to_map())

    @handle
    @override
    def training_over(self, message: TrainingOver) -> None:
        if message.failure is not None and message.training == self._training:
            self._done(message.failure, failed=True)

    @override
    def _done(self, why: str, *, failed: bool) -> None:
        """What ends other federations is the end of a task here."""
        if failed and self._work is not None:
            self._give_up(why)
        else:
            self._tell_of(self._rounds.without_evaluation())
            super()._done(why, failed=failed)

    def _give_up(self, why: str) -> None:
        self._crew.scheduler.tell(FinishUp(combine_open=False))
        self._fail(why)

    def _finished(self, result: object) -> None:
        self._answer.resolve(result)
        self._rest()

    def _fail(self, why: str) -> None:
        self._answer.reject(Rejected(why))
        self._rest()

    def _rest(self) -> None:
        self._work = self._summed = None
        self._life.phase, self._life.setbacks = Phase.WAITING, 0
        self._watch_numbers()

    # ------------------------------------------------------------------------------------------------------ orders and membership

    @handle
    @override
    def order(self, message: Order) -> None:
        if message.verb not in {Verb.STOP, Verb.ABORT, Verb.CLOSE}:
            raise Rejected(f"a relay's rounds are its parent's; have {message.verb} done at the root of the tree")
        if self._work is not None:
            self._give_up(message.why or "this relay was stopped")
        super().order(message)

    @handle
    @override
    async def scheduler_ready(self, message: SchedulerReady) -> None:
        self._adopted = None  # the model store may have been restarted, too
        await super().scheduler_ready(message)

    @handle
    @override
    def status(self, message: GetStatus) -> Mapping[str, Any]:
        return {**super().status(message), "is_relay": True}

    @property
    @override
    def _needed(self) -> int:
        return super()._needed if self._were_enough else self._plan.training.min_learners

    @handle
    @override
    def learner_joined(self, message: LearnerJoined) -> None:
        super().learner_joined(message)
        self._were_enough = self._were_enough or len(self._members) >= self._plan.training.min_learners
        self._go_on_if_owed()
        for curious in [one for one in self._curious if one[0].at_least <= len(self._members)]:
            self._curious.remove(curious)
            curious[1].resolve(self._children())

    @handle
    def children(self, message: GetChildren) -> Deferred[Children]:
        """Who is here, now or when they are enough."""
        deferred: Deferred[Children] = self.reply_later()
        if len(self._members) >= message.at_least:
            deferred.resolve(self._children())
        else:
            self._curious.append((message, deferred))
        return deferred

    def _children(self) -> Children:
        members = self._members.values()
        tags = sorted({tag for member in members for tag in member.candidate.tags})
        return Children(
            num_train_examples=sum(member.candidate.num_examples for member in members),
            num_test_examples=sum(member.num_test_examples for member in members),
            tags=tuple(tags[:METRICS_MAX]),
        )
