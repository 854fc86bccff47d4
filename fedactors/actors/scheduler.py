"""The actor around a scheduling protocol: it tells the machine what happened and carries out what the machine commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from typing_extensions import override

from fedactors.actors.ledger import Ledger
from fedactors.actors.messages import (
    AssignTask,
    BeginMasking,
    BeginTraining,
    CancelTask,
    Combined,
    CombineRound,
    DeadlineReached,
    Dispatched,
    DropRound,
    DropUpdate,
    EndMasking,
    EvaluateAgain,
    EvaluationHere,
    FinishUp,
    FoldUpdate,
    ForgetBases,
    GrantRound,
    MemberDeparted,
    MemberJoined,
    NotCombined,
    NotRecalled,
    Publish,
    Recall,
    RoundCommitted,
    RoundEnded,
    SchedulerReady,
    TaskUnanswered,
    ToAggregator,
    ToController,
    ToLearnerProxy,
    ToMaskBroker,
    ToScheduler,
    TrainingOver,
    UpdateHere,
    Verdict,
)
from fedactors.actors.training_plan import TrainingPlan
from fedactors.journal import Counted, Given, Journal
from fedactors.model import Layout, LearnerId, Version
from fedactors.protocol import Task
from fedactors.record import EventKind
from fedactors.runtime import Actor, ActorRef, handle
from fedactors.scheduling import base as on
from fedactors.scheduling.base import Schedule
from fedactors.task import EvaluateParams, Refusal, Round, TaskId, TaskKind, TrainParams

TROUBLES_MAX = 10
"""Learners whose trouble a reason tells; the rest is counted."""


@dataclass(slots=True)
class OpenTask:
    """A task that a learner has not answered yet.

    Attributes:
        round: that it belongs to.
        version: that it refers to.
        train: it is a training task, not an evaluation.
        update: that waits for the machine's decision.
    """

    round: Round
    version: Version
    train: bool
    update: UpdateHere | None = None


class Scheduler(Actor[ToScheduler]):
    """Owns the protocol's state machine, the deadlines and the round records. It never sees a tensor."""

    def __init__(
        self,
        plan: TrainingPlan,
        tasks: Iterator[TaskId],
        aggregator: ActorRef[ToAggregator],
        controller: ActorRef[ToController],
        journal: Journal,
        masks: ActorRef[ToMaskBroker] | None = None,
    ) -> None:
        self._plan = plan
        self._journal = journal
        self._masks = masks
        self._counted: dict[tuple[LearnerId, Round], Counted] = {}  # before a restart, and not yet told to the machine
        self._recalled: dict[TaskId, tuple[AssignTask, Counted]] = {}
        self._task_ids = tasks
        self._aggregator = aggregator
        self._controller = controller
        self._ledger = Ledger(plan.detail_learners_max)
        self._schedule: Schedule | None = None
        self._training = ""  # its name
        self._layout: Layout | None = None
        self._version: Version = 0
        self._round: Round = 0
        self._combining: Round | None = None
        self._times_asked: dict[LearnerId, int] = {}  # in the open round
        self._evaluation = plan.evaluate  # of the task that was given last
        self._members: dict[LearnerId, MemberJoined] = {}
        self._open: dict[LearnerId, dict[TaskId, OpenTask]] = {}
        self._bases: Counter[Version] = Counter()  # open training tasks, by the version that they started from
        self._unused: list[Version] = []  # older versions that the aggregator may forget
        self._troubles: dict[LearnerId, str] = {}

    @override
    def started(self) -> None:
        self._controller.tell(SchedulerReady())

    # ------------------------------------------------------------------------------------------- what happened, to the machine

    @handle
    def begin(self, message: BeginTraining) -> None:
        """There is a model: make the machine, and tell it who is here."""
        plan = self._plan = message.plan or self._plan
        self._layout, self._version, self._training = message.layout, message.version, message.training
        self._combining = None  # a machine before this one may have asked
        self._aggregator.tell(ForgetBases())
        story = self._journal.story
        self._counted = {(counted.learner, counted.round): counted for counted in story.counted.values()}
        terms = plan.terms(self._task_ids, story.given, message.version, message.first_round)
        self._schedule = plan.protocol.schedule(terms)
        for _, member in sorted(self._members.items()):
            self._happened(on.Joined(member.candidate))

    @handle
    def joined(self, message: MemberJoined) -> None:
        """A learner can be given tasks."""
        self._members[message.candidate.learner] = message
        self._happened(on.Joined(message.candidate))

    @handle
    def departed(self, message: MemberDeparted) -> None:
        """A learner is gone, and its open tasks with it."""
        if self._members.pop(message.learner, None) is not None:
            if self._masks is not None:
                self._masks.tell(message)
            self._happened(on.Departed(message.learner))
            for task in list(self._open.get(message.learner, ())):
                self._close(message.learner, task)
            self._open.pop(message.learner, None)

    @handle
    def grant(self, message: GrantRound) -> None:
        """The next round may begin."""
        self._happened(on.Proceed(message.last))

    @handle
    def evaluate_again(self, message: EvaluateAgain) -> None:
        """A round that another scheduler committed has not ended."""
        unended, now_s = message.round, self.clock.stopwatch()
        self._ledger.begin(unended.round, unended.cohort, now_s, self.clock.time())
        for counted in unended.counted:
            self._ledger.reported(unended.round, counted.learner, counted.report, 0, 0)
            self._ledger.accepted(unended.round, counted.learner, counted.report, counted.staleness, now_s)
        self._ledger.committed(unended.round, unended.version, now_s)
        self._happened(on.Unended(unended.round, unended.version, unended.cohort, message.last))

    @handle
    def finish(self, message: FinishUp) -> None:
        """No further round."""
        if self._schedule is None:
            self._controller.tell(TrainingOver())
        self._happened(on.Finish(message.combine_open))

    @handle
    def dispatched(self, message: Dispatched) -> None:
        """For the records alone."""
        task = self._find(message.learner, message.task)
        if task is not None and task.train:
            self._ledger.dispatched(task.round, self.clock.stopwatch())

    @handle
    def update(self, message: UpdateHere) -> None:
        """A well-formed update waits for the machine's decision."""
        if (task := self._find(message.learner, message.task)) is not None:
            task.update = message
        self._happened(on.UpdateArrived(message.task, message.learner, message.report))

    @handle
    def not_recalled(self, message: NotRecalled) -> None:
        """An update that counted cannot be read: its learner trains again."""
        assigned, counted = self._recalled.pop(message.task)
        self._tell(counted.learner, assigned)

    @handle
    def evaluation(self, message: EvaluationHere) -> None:
        """A learner has evaluated."""
        learner, report = message.learner, message.report
        if (task := self._close(learner, message.task)) is not None:
            self._ledger.evaluated(task.round, learner, report, self.clock.stopwatch())
            if self._ledger.tells_of_each(task.round):
                told = {"num_examples": report.num_examples, "metrics": dict(report.metrics)}
                self._controller.tell(Publish(EventKind.LEARNER_EVALUATED, {"round": task.round, "learner": learner} | told))
        self._happened(on.EvaluationArrived(message.task, learner, report))

    @handle
    def unanswered(self, message: TaskUnanswered) -> None:
        """A learner that is here did not answer."""
        self._not_counted(message.task, message.learner, message.reason, message.why)
        self._happened(on.TaskFailed(message.task, message.learner, message.reason))

    @handle
    def combined(self, message: Combined) -> None:
        """The aggregator committed. What it was asked by a scheduler before this one is the controller's to find out."""
        if not self._is_asked(message.round):
            return
        updates = self._ledger.committed(message.round, message.version, self.clock.stopwatch())
        self._troubles.clear()
        former, self._version = self._version, message.version
        if former not in self._bases:
            self._unused.append(former)
        self._controller.tell(RoundCommitted(message.round, message.version, updates, self._training))
        self._happened(on.Committed(message.round, message.version))

    def _is_asked(self, round_: Round) -> bool:
        """Whether this answers what this scheduler has asked; then it is answered."""
        is_asked, self._combining = self._combining == round_, None
        return is_asked

    @handle
    def not_combined(self, message: NotCombined) -> None:
        """The aggregator could not."""
        if not self._is_asked(message.round):
            return
        self._troubles["combine"] = message.why
        self._happened(on.CombineFailed(message.round))

    @handle
    def deadline(self, message: DeadlineReached) -> None:
        """A deadline of the machine's."""
        self._happened(on.DeadlinePassed(message.key))

    # ------------------------------------------------------------------------------------- what the machine commands, carried out

    def _happened(self, event: on.Event) -> None:
        if self._schedule is not None:
            for command in self._schedule.handle(event, self.clock.now()):
                self._carry_out(command)

    def _carry_out(self, command: on.Command) -> None:
        match command:
            case on.BeginRound():
                self._begin_round(command)
            case on.Train():
                self._train(command)
            case on.Evaluate():
                self._evaluate(command)
            case on.Cancel(task, learner):
                self._close(learner, task)
                self._tell(learner, CancelTask(task))
            case on.Accept():
                self._accept(command)
            case on.Refuse():
                self._refuse(command)
            case on.Combine(round_):
                self._combine(round_)
            case on.AbandonRound(round_, why):
                self._abandon(round_, why)
            case on.EndRound(round_):
                self._controller.tell(RoundEnded(self._ledger.end(round_), self._training))
            case on.SetDeadline(key, at_s):
                self.after(max(at_s - self.clock.now(), 0.0), DeadlineReached(key), key=key)
            case on.ClearDeadline(key):
                self.cancel(key)
            case on.Wait(why):
                self._controller.tell(Publish(EventKind.WAITING, {"why": why}))
            case on.GiveUp(why):
                self._controller.tell(TrainingOver(self._explain(why), self._training))
            case on.Finished():
                self._controller.tell(TrainingOver(training=self._training))
            case _:
                assert_never(command)

    def _begin_round(self, command: on.BeginRound) -> None:
        self._round = command.round
        self._times_asked.clear()
        if self._masks is not None:
            self._masks.tell(BeginMasking(command.round, command.cohort))
        self._ledger.begin(command.round, command.cohort, self.clock.stopwatch(), self.clock.time())
        cohort = list(command.cohort) if self._ledger.tells_of_each(command.round) else []
        body = {"round": command.round, "version": self._version, "cohort": cohort, "learners": len(command.cohort)}
        self._controller.tell(Publish(EventKind.ROUND_BEGAN, body))

    def _train(self, command: on.Train) -> None:
        self._ledger.dispatched(command.round, self.clock.stopwatch())  # at the earliest; its proxy says when indeed
        self._bases[command.version] += 1
        again = self._times_asked.get(command.learner, 0)
        self._times_asked[command.learner] = again + 1
        self._assign(command, TaskKind.TRAIN, self._plan.train_params(command, again))

    def _evaluate(self, command: on.Evaluate) -> None:
        self._ledger.evaluating(command.round)
        if (self._evaluation.round, self._evaluation.version) != (command.round, command.version):
            self._evaluation = self._plan.evaluate_params(command)
        self._assign(command, TaskKind.EVALUATE, self._evaluation)

    def _assign(self, command: on.Train | on.Evaluate, kind: TaskKind, params: TrainParams | EvaluateParams) -> None:
        learner, round_ = command.learner, command.round
        task = OpenTask(round_, command.version, kind is TaskKind.TRAIN)
        self._open.setdefault(learner, {})[command.task] = task
        if self._journal.keeps and not (task.train and self._masks is not None):  # another process could not unmask its answer
            self._journal.write(Given(command.task, learner, kind, round_, command.version))
        assigned = AssignTask(Task(command.task, kind, params), self._layout)
        counted = self._counted.pop((learner, round_), None) if task.train else None
        if counted is None:
            self._members[learner].proxy.tell(assigned)
        else:
            self._recalled[command.task] = assigned, counted
            self._aggregator.tell(Recall(command.task, counted, self.ref))

    def _accept(self, command: on.Accept) -> None:
        """The update counts in the open round, whichever its task was given in."""
        learner, round_ = command.learner, self._round
        task = self._close(learner, command.task)
        assert task is not None, "a protocol accepts only what it scheduled"
        assert task.update is not None, "a protocol accepts only what arrived"
        report, staleness = task.update.report, command.staleness
        member = self._members.get(learner)
        if (recalled := self._recalled.pop(command.task, None)) is not None:
            staleness = recalled[1].staleness
        self._aggregator.tell(FoldUpdate(command.task, staleness, round_, None if member is None else member.proxy))
        self._ledger.reported(round_, learner, report, task.update.bytes_up, task.update.bytes_down)
        self._ledger.accepted(round_, learner, report, staleness, self.clock.stopwatch())
        if self._ledger.tells_of_each(round_):
            body = {"round": round_, "learner": learner, "staleness": staleness}
            told = {"num_examples": report.num_examples, "metrics": dict(report.metrics)}
            self._controller.tell(Publish(EventKind.UPDATE_ACCEPTED, body | told))

    def _combine(self, round_: Round) -> None:
        unused, self._unused, self._combining = tuple(self._unused), [], round_
        self._aggregator.tell(CombineRound(round_, self.ref, unused))

    def _refuse(self, command: on.Refuse) -> None:
        why = f"the update of task {command.task} was not taken: {command.reason.replace('_', ' ')}"
        self._aggregator.tell(DropUpdate(command.task))
        self._tell(command.learner, Verdict(command.task, command.reason, why))
        self._not_counted(command.task, command.learner, command.reason, why)

    def _abandon(self, round_: Round, why: str) -> None:
        self._aggregator.tell(DropRound())
        if self._masks is not None:
            self._masks.tell(EndMasking(round_))
        self._ledger.abandon(round_)
        self._controller.tell(Publish(EventKind.ROUND_ABANDONED, {"round": round_, "why": self._explain(why)}))

    # --------------------------------------------------------------------------------------------------------------------- books

    def _find(self, learner: LearnerId, task: TaskId) -> OpenTask | None:
        return self._open.get(learner, {}).get(task)

    def _close(self, learner: LearnerId, task: TaskId) -> OpenTask | None:
        closed = self._open.get(learner, {}).pop(task, None)
        if closed is not None and closed.train:
            self._bases[closed.version] -= 1
            if not self._bases[closed.version]:
                del self._bases[closed.version]
                if closed.version != self._version:
                    self._unused.append(closed.version)
        return closed

    def _tell(self, learner: LearnerId, message: ToLearnerProxy) -> None:
        if (member := self._members.get(learner)) is not None:
            member.proxy.tell(message)

    def _not_counted(self, task_id: TaskId, learner: LearnerId, reason: Refusal, why: str) -> None:
        self._troubles[learner] = why
        task = self._close(learner, task_id)
        if task is not None:
            if (update := task.update) is not None:
                self._ledger.reported(task.round, learner, update.report, update.bytes_up, update.bytes_down)
            self._ledger.refused(task.round, learner, reason, why)
        round_ = 0 if task is None else task.round
        if self._ledger.tells_of_each(round_):
            body = {"round": round_, "learner": learner, "reason": str(reason), "why": why}
            self._controller.tell(Publish(EventKind.UPDATE_REFUSED, body))

    def _explain(self, why: str) -> str:
        first = sorted(self._troubles.items())[:TROUBLES_MAX]
        more = [f"and {len(self._troubles) - len(first):,} more"] if len(self._troubles) > len(first) else []
        alike: dict[str, list[LearnerId]] = {}
        for learner, trouble in first:
            alike.setdefault(trouble, []).append(learner)
        return "; ".join([why, *(f"{', '.join(learners)}: {trouble}" for trouble, learners in alike.items()), *more])
