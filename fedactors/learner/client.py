"""The loop of a learner: join a federation, serve its tasks, come back after a loss.

controller ──Task, Cancel──▶ session ──▶ agenda ──▶ desk ──▶ the learner's thread
                                           │
controller ◀──Push, Evaluated, TaskFailure─┘           each loop is a coroutine of this module; what is decided is in `agenda`
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import assert_never

from structlog.stdlib import BoundLogger

from fedactors.errors import AccessDenied, ConfigError, ProtocolError, StreamClosed, TransportError, Unreachable
from fedactors.form import IDENTITY, NO_FORMS, Form, Forms, FormSpec
from fedactors.learner.agenda import Agenda
from fedactors.learner.answers import Declared, declared
from fedactors.learner.base import Learner
from fedactors.learner.desk import WHY_CHARS_MAX, Answer, AnyDesk, Desk, MakeDesk, Update
from fedactors.learner.line import DELAY_MAX_S, Line, Link, delays
from fedactors.learner.masked_rounds import MaskedRounds
from fedactors.learner.spool import Spool
from fedactors.learner.worker import Work, Worker
from fedactors.log import get_logger
from fedactors.model import GlobalModel, Layout, LearnerId, Version
from fedactors.privacy.masking.form import NAME as MASKING
from fedactors.privacy.masking.form import MaskedForm
from fedactors.privacy.sealing import Key
from fedactors.protocol.buffers import ReusedMemory
from fedactors.protocol.messages import (
    Cancel,
    Evaluated,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    Hello,
    Masking,
    Task,
    TaskFailure,
    Welcome,
)
from fedactors.protocol.session import JoinRefused, Session, SessionLost, join
from fedactors.protocol.transfers import Download, Upload
from fedactors.protocol.weight_streams import WeightStreams
from fedactors.scope import Scope
from fedactors.task import TaskId, TaskKind
from fedactors.transport import Channel

JOIN_TIMEOUT_S = 10.0
"""Of one attempt to join."""
LEAVE_TIMEOUT_S = 3.0
"""For saying goodbye and for the controller to hear it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a learner tries to reach its controller before it gives up.

    Attributes:
        connect_s: at the start.
        reconnect_s: after it was connected: long enough for the controller to be started again.
    """

    connect_s: float = 60.0
    reconnect_s: float = 600.0


class LearnerClient:
    """One learner's part in one federation."""

    def __init__(
        self,
        learner: Learner | Declared,
        id: LearnerId,  # noqa: A002  # the word that users know
        channel: Channel,
        *,
        federation: str = "",
        patience: Patience = Patience(),
        work: Work | None = None,
        rng: random.Random | None = None,
        spool: Spool | None = None,
        forms: Forms = NO_FORMS,
        key: Key | None = None,
        dp_epsilon_max: float | None = None,
        desk: MakeDesk | None = None,
    ) -> None:
        """Prepare it; nothing is sent yet.

        Args:
            learner: has a learner's four methods; where a desk is given, what it declares suffices.
            id: its identity in the federation.
            channel: to the controller; stays the caller's.
            federation: whose name it expects; empty: whichever is served there.
            patience: before it gives up.
            work: runs the learner's code; by default in a thread of its own.
            rng: scatters the attempts to connect.
            spool: keeps updates that are not delivered yet for the learner's next process; None: they end with this one.
            forms: in which updates can be packed, if the controller wishes for one; by default they travel as they are.
            key: of a federation that seals its models; with one, nothing goes out unsealed.
            dp_epsilon_max: what its updates may tell of its data, by local differential privacy; with one, nothing goes out
                without noise, and no update that would exceed it.
            desk: makes what works tasks off; by default, the learner's methods are called.

        Raises:
            LearnerFailed: what the learner declares of itself makes no sense.
        """
        self.id = id
        self._log: BoundLogger = get_logger("fedactors.learner").bind(learner=id)
        self._federation = federation
        self._declared = learner if isinstance(learner, Declared) else declared(learner)
        self._channel = channel
        self._patience = patience
        self._rng = random.Random() if rng is None else rng  # noqa: S311  # scatters attempts, keeps no secret
        self._worker = Worker(f"learner {id}")  # it begins with its first job
        self._desk: AnyDesk
        if desk is not None:
            self._desk = desk(self._fetch)
        else:
            assert not isinstance(learner, Declared), "without a desk, somebody has to do the work"
            self._desk = Desk(learner, self._worker if work is None else work, self._fetch, self._log, key)
        self._memory = ReusedMemory()
        self._agenda: Agenda[Task, Answer] = Agenda()
        self._line = Line(self._rng)
        self._task_came = asyncio.Event()
        self._answer_came = asyncio.Event()
        self._answer_went = asyncio.Event()
        self._delivering: TaskId | None = None
        self._forms = forms
        self._masks: MaskedRounds | None = None
        self._dp_epsilon_max = dp_epsilon_max
        self._spool = spool
        self._token = b"" if spool is None else spool.token
        for update in () if spool is None else spool.updates():
            self._agenda.on_restored(update.task, update)
        self._leaving = asyncio.Event()
        self._connection: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------------------------------------------------ from outside

    async def run(self) -> None:
        """Take part until the federation is finished, or `leave`. Cancelling it leaves, too: the controller is told.

        Raises:
            AccessDenied: this learner's credential or the controller's certificate is not taken.
            ConfigError: this learner has no key to what the federation seals, or a key, and it seals nothing.
            JoinRefused: the controller does not let this learner take part, or another one took over its identity.
            Unreachable: the controller could not be reached for as long as `patience` says.
            RemoteProtocolError: the controller broke the protocol.
        """
        if self._leaving.is_set():
            return
        working = asyncio.create_task(self._work_on(), name=f"{self.id} works")
        delivering = asyncio.create_task(self._deliver_all(), name=f"{self.id} delivers")
        self._connection = asyncio.create_task(self._stay_connected(), name=f"{self.id} is connected")
        tasks = {working, delivering, self._connection}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._worker.stop()
        for task in done:
            if not (self._leaving.is_set() and task.cancelled()):
                task.result()

    async def leave(self) -> None:
        """Say goodbye; `run` then returns. Work in progress is dropped. Takes at most LEAVE_TIMEOUT_S."""
        self._leaving.set()
        if self._connection is not None:
            self._connection.cancel()
            await asyncio.wait([self._connection])

    # -------------------------------------------------------------------------------------------------------------- connection

    async def _stay_connected(self) -> None:
        """Join, serve and join again until somebody says that it is over."""
        pauses, patience_s = delays(self._rng), self._patience.connect_s
        while True:
            link = await self._join(patience_s)
            if link is None:
                return
            patience_s, joined_at = self._patience.reconnect_s, asyncio.get_running_loop().time()
            if await self._serve(link):
                return
            if asyncio.get_running_loop().time() - joined_at > DELAY_MAX_S:
                pauses = delays(self._rng)
            await asyncio.sleep(next(pauses))

    async def _join(self, patience_s: float) -> Link | None:
        """A new link; None if the federation is finished."""
        deadline = asyncio.get_running_loop().time() + patience_s
        told = ""
        for pause_s in delays(self._rng):
            try:
                session, terms = await join(self._channel, self._hello(), timeout_s=min(JOIN_TIMEOUT_S, patience_s))
                return await self._joined(session, terms)
            except AccessDenied:
                raise
            except JoinRefused as refused:
                if refused.goodbye.reason is GoodbyeReason.FINISHED:
                    return None
                if refused.goodbye.reason is not GoodbyeReason.DRAINING:
                    raise
                failure: TransportError = refused
            except (Unreachable, StreamClosed) as error:
                failure = error
            if asyncio.get_running_loop().time() + pause_s > deadline:
                raise Unreachable(f"{failure}; gave up after {patience_s:g} s") from failure
            if str(failure) != told:
                told = str(failure)
                self._log.warning("not_connected_yet", why=told, trying_for_s=patience_s)
            await asyncio.sleep(pause_s)
        raise AssertionError("delays do not end")

    def _hello(self) -> Hello:
        return Hello(
            learner=self.id,
            federation=self._federation,
            resume_token=self._token,
            num_train_examples=self._declared.num_train_examples,
            num_test_examples=self._declared.num_test_examples,
            tags=self._declared.tags,
            tasks_held=self._agenda.held,
            software=f"fedactors/{installed_version('fedactors')}",
            forms=self._forms.names,
        )

    async def _joined(self, session: Session, terms: Welcome) -> Link:
        scope = Scope(terms.local, terms.shared, variates=terms.variates)
        try:
            form = self._form(terms.form)
            self._begin_masking(form, resumed=terms.resumed)
            self._desk.begin(scope, IDENTITY if self._masks else form, terms.sealing, resumed=terms.resumed)
            self._desk.protect(terms.local_privacy, self._dp_epsilon_max)
        except ConfigError:
            await self._part(session)
            raise
        self._log.info("joined", federation=terms.federation, at=session.peer, resumed=terms.resumed)
        self._token = terms.token
        if not terms.resumed:
            self._agenda.on_new_start()
            self._answer_went.set()
        if self._spool is not None:
            self._spool.begin(terms.token, resumed=terms.resumed)
        return Link(session, terms, WeightStreams(self._channel))

    def _form(self, wished: FormSpec) -> Form:
        """The form that the controller wishes for; the identity where it cannot be made here.

        Raises:
            ConfigError: it is masking's, without which nothing leaves, and cannot be made here.
        """
        try:
            return self._forms.wished(wished)
        except ConfigError as error:
            if wished.name == MASKING:
                raise
            self._log.warning("form_not_known", form=wished.name, why=str(error))
            return IDENTITY

    def _begin_masking(self, form: Form, *, resumed: bool) -> None:
        """Keep the masks of open rounds with a controller that goes on with them; with any other one they are of no use."""
        former = self._masks
        if former is not None and not (resumed and former.form == form):
            former.clear()
            self._masks = None
        if isinstance(form, MaskedForm) and self._masks is None:
            self._masks = MaskedRounds(self.id, form, self._log)
        self._desk.mask(self._masks)

    async def _serve(self, link: Link) -> bool:
        """Listen until the session is over; whether the federation is."""
        try:
            async with link.session:
                self._line.up(link)
                try:
                    return self._is_over(await self._listen(link.session))
                except asyncio.CancelledError:
                    self._line.down()
                    await self._part(link.session)
                    raise
        except SessionLost as loss:
            self._log.warning("connection_lost", why=str(loss))
            self._channel.leave(link.session.stream)
            return False
        finally:
            self._line.down()

    async def _listen(self, session: Session) -> Goodbye:
        for again in () if self._masks is None else self._masks.again():
            await session.send(again)
        while True:
            match await session.receive():
                case Task() as task:
                    await self._on_task(session, task)
                case Cancel(task=cancelled):
                    self._on_cancel(cancelled)
                    if self._spool is not None:
                        self._spool.drop(cancelled)
                    self._answer_went.set()
                case Masking() as said:
                    answer = None if self._masks is None else self._masks.hear(said)
                    if answer is not None:
                        await session.send(answer)
                case Goodbye() as goodbye:
                    return goodbye
                case Heartbeat() | Welcome() | Hello() | Evaluated() | TaskFailure():
                    raise AssertionError("a session gives none of these to a learner")
                case unknown:
                    assert_never(unknown)

    async def _on_task(self, session: Session, task: Task) -> None:
        if not (taken := self._agenda.on_task(task.id, task)):
            await session.send(TaskFailure(task.id, f"the learner holds {len(self._agenda.held)} tasks already"))
        self._task_came.set()
        self._answer_came.set()  # it may be one whose answer was kept
        if taken and self._masks is not None and task.kind is TaskKind.TRAIN:
            await session.send(self._masks.begin(task.id))

    def _on_cancel(self, task: TaskId) -> None:
        """An answer is not wanted any more. Whether an update counts that is under way, its own answer will say."""
        self._agenda.on_cancel(task)
        if self._masks is not None:
            self._masks.drop(task)
        if task != self._delivering:
            self._desk.settle(task, accepted=False)

    def _is_over(self, goodbye: Goodbye) -> bool:
        self._log.info("controller_said_goodbye", reason=str(goodbye.reason), why=goodbye.why)
        match goodbye.reason:
            case GoodbyeReason.FINISHED | GoodbyeReason.LEFT:
                return True
            case GoodbyeReason.DRAINING:
                return False
            case GoodbyeReason.REFUSED | GoodbyeReason.DISPLACED:
                raise JoinRefused(goodbye)
            case unknown:
                assert_never(unknown)

    async def _part(self, session: Session) -> None:
        with suppress(StreamClosed, TimeoutError):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await session.goodbye(GoodbyeReason.LEFT)
                await session.close()

    # ------------------------------------------------------------------------------------------------------------------- tasks

    async def _work_on(self) -> None:
        """Work tasks off, one at a time."""
        while True:
            while (started := self._agenda.start()) is None:
                self._task_came.clear()
                await self._task_came.wait()
            await self._work_off(*started)

    async def _work_off(self, name: TaskId, task: Task) -> None:
        if self._desk.waits_for_verdicts and task.kind is TaskKind.TRAIN:
            await self._until_settled()
        answer = await self._desk.answer(task, lambda: self._agenda.at_work_is_wanted)
        if self._spool is not None and isinstance(answer, Update):
            await asyncio.to_thread(self._spool.keep, answer)
        self._agenda.on_answer(name, answer, small=not isinstance(answer, Update))
        if name not in self._agenda.held:  # it was cancelled meanwhile
            self._desk.settle(name, accepted=False)
        self._answer_came.set()

    async def _until_settled(self) -> None:
        """Until no update is on its way any more."""
        while any(isinstance(answer, Update) for answer in self._agenda.to_deliver):
            self._answer_went.clear()
            await self._answer_went.wait()

    async def _fetch(self, version: Version, known: Layout | None) -> GlobalModel:
        """A version of the global model, for the task at work."""
        download = Download(version, known=known, pool=self._memory)

        async def fetch(link: Link) -> GlobalModel:
            if not self._agenda.at_work_is_wanted:
                raise TransportError("the task was cancelled before its weights were here")
            layout, buffer = await download.attempt(link.streams, link.terms.token)
            return GlobalModel(version, layout, buffer)

        return await self._line.use(fetch, lambda: download.received_bytes)

    # ---------------------------------------------------------------------------------------------------------------- delivery

    async def _deliver_all(self) -> None:
        """Deliver answers in their order; what a lost connection swallowed is delivered over the next one."""
        while True:
            while self._agenda.next_answer is None:
                self._answer_came.clear()
                await self._answer_came.wait()
            await self._deliver(*self._agenda.next_answer)

    async def _deliver(self, task: TaskId, answer: Answer) -> None:
        self._delivering = task
        try:
            if isinstance(answer, Update):
                await self._push(answer)
            else:
                await self._send(answer)
        except (ProtocolError, TransportError) as error:  # it cannot be delivered as it is
            self._log.warning("answer_undeliverable", task=task, why=str(error))
            self._desk.settle(task, accepted=False)
            await self._send(TaskFailure(task, f"its answer cannot be delivered: {error}"[:WHY_CHARS_MAX]))
        self._delivering = None
        self._agenda.on_delivered(task)
        if self._spool is not None:
            self._spool.drop(task)
        self._answer_went.set()

    async def _push(self, update: Update) -> None:
        upload = Upload(update.task, update.layout, update.buffer, update.report, layout_known=update.layout_known)
        said = await self._line.use(
            lambda link: upload.attempt(
                link.streams, link.terms.token, chunk_bytes=link.terms.chunk_bytes, eager_bytes=link.terms.eager_bytes
            ),
            lambda: upload.acknowledged_bytes,
        )
        self._desk.settle(update.task, said.accepted)
        if not said.accepted:
            self._log.warning("update_refused", task=update.task, reason=said.refusal, why=said.why)

    async def _send(self, message: Evaluated | TaskFailure) -> None:
        while True:
            link = await self._line.link()
            try:
                return await link.session.send(message)
            except SessionLost:
                await asyncio.wait([link.lost])
