"""A learner's masked rounds: one `Member` for each training task; it speaks while the learner trains, then masks its update."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from structlog.stdlib import BoundLogger

from fedactors.errors import LearnerFailed, ModelError, RemoteProtocolError
from fedactors.learner.worker import Work
from fedactors.model import Buffer, GlobalModel, Layout, LearnerId
from fedactors.privacy.masking.form import MaskedForm
from fedactors.privacy.masking.masks import apply
from fedactors.privacy.masking.member import Member
from fedactors.privacy.masking.messages import FromMember, read_to_member, written
from fedactors.protocol.messages import Masking
from fedactors.task import TaskId, TrainReport

ROUNDS_MAX = 8
"""Rounds whose secrets are kept, the newest."""


@dataclass(slots=True)
class _Part:
    """This learner's part in one round; `settled`: it can mask, or there is a reason why not."""

    member: Member
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    why_not: str | None = None

    def end(self, why: str) -> None:
        self.why_not = why
        self.settled.set()


@dataclass(frozen=True, slots=True, eq=False)
class MaskedUpdate:
    """What travels in place of new weights.

    Attributes:
        layout: of the buffer.
        buffer: uint8[layout.nbytes], words under masks.
        report: what is said of the training.
        clipped: parameters whose difference counts as less than it is.
    """

    layout: Layout
    buffer: Buffer
    report: TrainReport
    clipped: int


class MaskedRounds:
    """The rounds that one learner takes part in, by its tasks."""

    def __init__(self, learner: LearnerId, form: MaskedForm, log: BoundLogger) -> None:
        self.form = form
        self._learner = learner
        self._log = log
        self._parts: OrderedDict[TaskId, _Part] = OrderedDict()

    # ------------------------------------------------------------------------------------------------------------- dialogue

    def begin(self, task: TaskId) -> Masking:
        """A training task was given: what to say first. Of a task that is given again, what was said last."""
        if task not in self._parts:
            self._parts[task] = _Part(Member(self._learner, self.form))
            if len(self._parts) > ROUNDS_MAX:
                self.drop(next(iter(self._parts)))
        return _said(task, self._parts[task].member.said)

    def hear(self, said: Masking) -> Masking | None:
        """What to say to the controller; None: nothing. What must not be answered ends this learner's part in the round."""
        if (part := self._parts.get(said.task)) is None or part.why_not is not None:
            self._log.debug("stray_masking", task=said.task, stage=said.stage)
            return None
        try:
            answer = part.member.handle(read_to_member(said.stage, said.body))
        except RemoteProtocolError as error:
            self._log.warning("masking_ended", task=said.task, why=str(error))
            part.end(str(error))
            return None
        if part.member.can_mask:
            part.settled.set()
        return None if answer is None else _said(said.task, answer)

    def again(self) -> Iterator[Masking]:
        """What to say again after a lost connection."""
        return (_said(task, part.member.said) for task, part in self._parts.items() if part.why_not is None)

    def drop(self, task: TaskId) -> None:
        """Nobody wants the task's answer any more, or nobody will."""
        if (part := self._parts.pop(task, None)) is not None:
            part.end("the task was cancelled before its update could be masked")

    def clear(self) -> None:
        """The controller does not know this learner any more."""
        for task in list(self._parts):
            self.drop(task)

    # --------------------------------------------------------------------------------------------------------------- updates

    async def mask(self, task: TaskId, weights: Buffer, base: GlobalModel, report: TrainReport, work: Work) -> MaskedUpdate:
        """The update under masks, as soon as it is known with whom.

        Raises:
            LearnerFailed: this learner takes no part in the round, or its update cannot be written in fixed point.
        """
        part = self._parts.get(task)
        if part is None:
            raise LearnerFailed("masking: the task's round is not known here")
        await part.settled.wait()
        if part.why_not is not None or not part.member.can_mask:
            raise LearnerFailed(f"masking: {part.why_not or 'another answer to this task left under the same masks'}")
        try:
            return await work(lambda: self._masked(part.member, weights, base, report))
        except ModelError as error:
            raise LearnerFailed(str(error)) from error

    def _masked(self, member: Member, weights: Buffer, base: GlobalModel, report: TrainReport) -> MaskedUpdate:
        layout = self.form.layout(base.layout)
        words, clipped = member.fixed_point.words(base.layout, weights, base.buffer, self._factor(report))
        apply(words, member.masks())
        return MaskedUpdate(layout, layout.pack({"words": words}), self._told(report), clipped)

    def _factor(self, report: TrainReport) -> int:
        match self.form.factor:
            case "examples":
                return report.num_examples
            case "batches":
                return report.num_batches
            case "participants":
                return 1

    def _told(self, report: TrainReport) -> TrainReport:
        return replace(report, num_examples=0, num_batches=0, metrics={}) if self.form.hide_reports else report


def _said(task: TaskId, message: FromMember) -> Masking:
    return Masking(task, *written(message))
