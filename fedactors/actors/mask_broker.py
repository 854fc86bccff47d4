"""The actor through which the learners of a masked round agree on their masks, and their sum is opened. It sees no tensor."""

from __future__ import annotations

from random import SystemRandom

from fedactors.actors.messages import (
    BeginMasking,
    EndMasking,
    Expelled,
    MaskedTask,
    MaskingHeard,
    MaskingOverdue,
    MemberDeparted,
    SayMasking,
    ToMaskBroker,
    UnmaskRound,
)
from fedactors.errors import Rejected, RemoteProtocolError
from fedactors.log import get_logger
from fedactors.model import LearnerId
from fedactors.privacy.masking.messages import read_from_member, written
from fedactors.privacy.masking.round import Command, Expel, Fail, Finish, MaskedRound, Say, Stage
from fedactors.privacy.masking.terms import Terms
from fedactors.privacy.masking.unmasking import Unmasking
from fedactors.protocol import Masking
from fedactors.runtime import Actor, Deferred, handle
from fedactors.task import Round

log = get_logger("fedactors.mask_broker")

_TIMED = {Stage.KEYS, Stage.SHARES, Stage.UNMASKING}


class MaskBroker(Actor[ToMaskBroker]):
    """Owns the open round's machine: it tells the machine what learners say, and learners what the machine says.

    The dialogue runs while learners train. A learner that cannot follow is expelled: its proxy gives its task up.
    """

    def __init__(self, terms: Terms, stage_timeout_s: float) -> None:
        """Wait for the first round.

        Args:
            terms: those of the federation.
            stage_timeout_s: how long one stage waits for learners that do not answer.
        """
        self._terms = terms
        self._stage_timeout_s = stage_timeout_s
        self._round: Round = 0
        self._machine: MaskedRound | None = None
        self._stage = Stage.OVER
        self._tasks: dict[LearnerId, MaskedTask] = {}
        self._out: dict[LearnerId, str] = {}
        self._failure: str | None = None
        self._asked: Deferred[Unmasking] | None = None

    # ------------------------------------------------------------------------------------------------------------- the round

    @handle
    def begin(self, message: BeginMasking) -> None:
        """A round begins; nothing of the one before is of use any more."""
        self._forget("another round has begun")
        self._round, self._failure = message.round, None
        self._machine = machine = MaskedRound(self._terms, message.cohort, SystemRandom())
        self._stage = Stage.OVER  # of the round before: this one's first stage is a new one
        self._carry_out(machine, machine.begin())

    @handle
    def end(self, message: EndMasking) -> None:
        """A round came to nothing: what learners say of it is not of interest any more."""
        if message.round == self._round:
            self.cancel("stage")
            self._forget("the round was given up")

    def _forget(self, why: str) -> None:
        """Nothing of the round is of use; who waits for its sum, as an aggregator whose scheduler has failed, waits no more."""
        self._machine = None
        self._tasks.clear()
        self._out.clear()
        if self._asked is not None:
            self._answer().reject(Rejected(f"masking: {why}"))

    @handle
    def given(self, message: MaskedTask) -> None:
        """A learner has its task, and will give its keys; unless it takes no part any more."""
        if message.round != self._round:
            return
        self._tasks[message.learner] = message
        why = self._failure or self._out.get(message.learner)
        if why is not None:
            message.proxy.tell(Expelled(message.task, why))

    @handle
    def heard(self, message: MaskingHeard) -> None:
        """A learner said something of its task's masks."""
        machine, given, said = self._machine, self._tasks.get(message.learner), message.said
        if machine is None or given is None or given.task != said.task:
            log.debug("stray_masking", learner=message.learner, task=said.task, stage=said.stage)
            return
        try:
            commands = machine.heard(message.learner, read_from_member(said.stage, said.body))
        except RemoteProtocolError as error:
            commands = machine.expel(message.learner, f"said what makes no sense: {error}")
        self._carry_out(machine, commands)

    @handle
    def gone(self, message: MemberDeparted) -> None:
        """A learner is here no more."""
        if self._machine is not None:
            self._carry_out(self._machine, self._machine.gone(message.learner))

    @handle
    def overdue(self, message: MaskingOverdue) -> None:
        """A stage has lasted long enough."""
        if self._machine is not None and (message.round, message.stage) == (self._round, self._stage):
            self._carry_out(self._machine, self._machine.overdue())

    @handle
    def unmask(self, message: UnmaskRound) -> Deferred[Unmasking]:
        """Ask the survivors for what it takes to read their sum."""
        machine = self._machine
        if machine is None or message.round != self._round:
            raise Rejected(f"masking: round {message.round} has no masks here; it was begun before a restart")
        if self._failure is not None:
            raise Rejected(self._failure)
        asked = self._asked = self.reply_later()
        self._carry_out(machine, machine.unmask(message.learners))
        return asked

    # -------------------------------------------------------------------------------------------------- what is commanded

    def _carry_out(self, machine: MaskedRound, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Say(learner, message):
                    given = self._tasks[learner]
                    given.proxy.tell(SayMasking(Masking(given.task, *written(message))))
                case Expel(learner, why):
                    self._expel(learner, why)
                case Fail(why):
                    self._fail(why)
                case Finish(unmasking):
                    self._answer().resolve(unmasking)
        self._time(machine.stage)

    def _expel(self, learner: LearnerId, why: str) -> None:
        log.info("expelled", round=self._round, learner=learner, why=why)
        self._out[learner] = why
        if (given := self._tasks.get(learner)) is not None:
            given.proxy.tell(Expelled(given.task, why))

    def _fail(self, why: str) -> None:
        """Too few are left: whoever asked is told; before anybody asked, everybody's task is given up."""
        self._failure = why
        if self._asked is not None:
            self._answer().reject(Rejected(why))
            return
        for given in self._tasks.values():
            given.proxy.tell(Expelled(given.task, why))

    def _answer(self) -> Deferred[Unmasking]:
        assert self._asked is not None, "a sum is opened for whoever asked"
        asked, self._asked = self._asked, None
        return asked

    def _time(self, stage: Stage) -> None:
        """A new stage has its own time."""
        if stage is self._stage:
            return
        self._stage = stage
        if stage in _TIMED:
            self.after(self._stage_timeout_s, MaskingOverdue(self._round, stage), key="stage")
        else:
            self.cancel("stage")
